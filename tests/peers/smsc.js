// An SMSC made of the npm library `smpp`, with faults on demand: a stranger's reading of the protocol for
// Patchbay to be tested against. Prints where it listens; told what to do over HTTP (the same paths and names
// as `patchbay sim smsc --control-port`). It must not share a line of code with Patchbay.
'use strict';
const http = require('http');
const smpp = require('smpp');

const script = {
  latency_ms: 0,
  receipt_delay_ms: 0,
  receipt_first: 'never',
  receipts: 'as_asked',
  id_style: 'decimal',
  throttle_per_second: 0,
  swallow: 'never',
  drop_connection: 'never',
  bind_status: 0,
};
const counts = {
  connections: 0, binds: 0, binds_refused: 0, unbinds: 0, submits: 0, accepted: 0, throttled: 0, swallowed: 0,
  dropped: 0, messages: 0, receipts_acked: 0, mo_acked: 0, errors: 0, pdus_unknown: 0,
};
const messages = [];
const bindKinds = [];
const sessions = new Map(); // session -> { kind, inFlight }
const joining = new Map();
const queue = []; // deliveries that wait for a receiving session
const fired = {};
let nextId = 1048576;
let recent = []; // instants of the submits of the last second
const submittedAt = [];

// The most submits in any second.
function mostInSecond() {
  let most = 0;
  for (let from = 0, to = 0; to < submittedAt.length; to += 1) {
    while (submittedAt[from] + 1000 <= submittedAt[to]) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

function fires(name) {
  const pattern = script[name];
  if (pattern === 'never') return false;
  if (pattern === 'always') return true;
  const every = Number(pattern.replace('1/', ''));
  fired[name] = ((fired[name] || 0) + 1) % every;
  return fired[name] === 0;
}

function receives(state) {
  return state.kind === 'bind_transceiver' || state.kind === 'bind_receiver';
}

function pump() {
  for (const [session, state] of sessions) {
    while (queue.length > 0 && receives(state) && state.inFlight.size < 500) {
      const delivery = queue.shift();
      state.inFlight.add(delivery);
      const sent = session.deliver_sm(delivery.make(), (answer) => {
        if (!state.inFlight.delete(delivery)) return;
        if (answer.command_status === 0) counts[delivery.counts] += 1;
        else setTimeout(() => { queue.push(delivery); pump(); }, 500);
        pump();
      });
      if (!sent) {
        state.inFlight.delete(delivery);
        queue.unshift(delivery);
        break;
      }
    }
  }
}

function textOf(short) {
  return typeof short === 'string' ? short : short.message;
}

function concatOf(pdu) {
  for (const udh of pdu.short_message.udh || []) {
    if (udh[0] === 0x00) return { ref: udh[2], total: udh[3], part: udh[4] };
    if (udh[0] === 0x08) return { ref: udh.readUInt16BE(2), total: udh[4], part: udh[5] };
  }
  if (pdu.sar_total_segments) {
    return { ref: pdu.sar_msg_ref_num, total: pdu.sar_total_segments, part: pdu.sar_segment_seqnum };
  }
  return null;
}

function record(pdu) {
  const payload = pdu.message_payload;
  let text = textOf(payload === undefined ? pdu.short_message : payload);
  const concat = concatOf(pdu);
  const base = { from: pdu.source_addr, to: pdu.destination_addr, dataCoding: pdu.data_coding };
  if (concat === null) {
    counts.messages += 1;
    messages.push({ ...base, text, parts: 1 });
    return;
  }
  const key = [pdu.source_addr, pdu.destination_addr, concat.ref, concat.total].join('|');
  const parts = joining.get(key) || new Map();
  parts.set(concat.part, text);
  joining.set(key, parts);
  if (parts.size === concat.total) {
    joining.delete(key);
    text = [...parts.keys()].sort((a, b) => a - b).map((part) => parts.get(part)).join('');
    counts.messages += 1;
    messages.push({ ...base, text, parts: concat.total });
  }
}

function throttled() {
  if (script.throttle_per_second === 0) return false;
  const now = Date.now();
  recent = recent.filter((at) => at > now - 1000);
  if (recent.length >= script.throttle_per_second) return true;
  recent.push(now);
  return false;
}

function receiptFor(pdu, number) {
  const id = script.id_style === 'hex_then_decimal' ? String(number) : answeredId(number);
  const text = `id:${id} sub:001 dlvrd:001 submit date:2601051000 done date:2601051001 stat:DELIVRD err:000 text:`;
  return {
    counts: 'receipts_acked',
    make: () => ({
      source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1,
      destination_addr: pdu.source_addr, esm_class: 4, short_message: text,
    }),
  };
}

function answeredId(number) {
  return script.id_style === 'hex_then_decimal' ? number.toString(16) : String(number);
}

function submit(session, pdu) {
  counts.submits += 1;
  submittedAt.push(performance.now());
  if (throttled()) {
    counts.throttled += 1;
    session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    return;
  }
  if (fires('drop_connection')) {
    counts.dropped += 1;
    session.destroy();
    return;
  }
  counts.accepted += 1;
  const number = nextId++;
  record(pdu);
  const asked = script.receipts === 'always' || (script.receipts === 'as_asked' && (pdu.registered_delivery & 3) === 1);
  const early = fires('receipt_first');
  const answer = () => {
    if (fires('swallow')) {
      counts.swallowed += 1;
      return;
    }
    session.send(pdu.response({ message_id: answeredId(number) }));
  };
  const receipt = () => {
    queue.push(receiptFor(pdu, number));
    pump();
  };
  if (early && asked) {
    receipt();
    setTimeout(answer, Math.max(script.latency_ms, 5));
    return;
  }
  if (script.latency_ms > 0) setTimeout(answer, script.latency_ms);
  else answer();
  if (asked) setTimeout(receipt, script.latency_ms + script.receipt_delay_ms);
}

function bind(session, state, pdu) {
  if (script.bind_status !== 0) {
    counts.binds_refused += 1;
    session.send(pdu.response({ command_status: script.bind_status }));
    session.close();
    return;
  }
  counts.binds += 1;
  state.kind = pdu.command;
  bindKinds.push(pdu.command);
  session.send(pdu.response({ system_id: 'npm-smpp' }));
  pump();
}

const server = smpp.createServer((session) => {
  const state = { kind: null, inFlight: new Set() };
  counts.connections += 1;
  sessions.set(session, state);
  session.socket.setNoDelay(true);
  for (const kind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(kind, (pdu) => bind(session, state, pdu));
  }
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    counts.unbinds += 1;
    session.send(pdu.response());
    session.close();
  });
  session.on('unknown', (pdu) => {
    counts.pdus_unknown += 1;
    session.send(pdu.response());
  });
  session.on('error', () => { counts.errors += 1; });
  session.on('close', () => {
    sessions.delete(session);
    queue.unshift(...state.inFlight);
    state.inFlight.clear();
    pump();
  });
});

// A customer's text, cut into parts of 60 UTF-16 units when it is long; `order` gives the parts' order.
function mo({ from, to, text, order }) {
  const units = 60;
  const pieces = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + units, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1;
    pieces.push(text.slice(at, end));
    at = end;
  }
  const ref = nextId++ & 0xff;
  const unicode = /[^\x20-\x7e\n]/.test(text);
  (order || pieces.map((_, i) => i)).forEach((i) => {
    const head = pieces.length > 1 ? Buffer.from([5, 0, 3, ref, pieces.length, i + 1]) : null;
    queue.push({
      counts: 'mo_acked',
      make: () => ({
        source_addr: from, source_addr_ton: 1, source_addr_npi: 1, destination_addr: to,
        esm_class: head ? 0x40 : 0, data_coding: unicode ? 8 : 0,
        short_message: head ? { udh: head, message: pieces[i] } : pieces[i],
      }),
    });
  });
  pump();
  return pieces.length;
}

const commands = {
  'GET /counts': () => ({ ...counts, bind_kinds: bindKinds, waiting: queue.length, most_in_second: mostInSecond() }),
  'GET /messages': () => messages,
  'GET /script': () => script,
  'PATCH /script': (changes) => {
    for (const key of Object.keys(changes)) {
      if (!(key in script)) throw new Error(`unknown setting ${key}`);
    }
    return Object.assign(script, changes);
  },
  'POST /mo': (what) => ({ parts: mo(what) }),
  'POST /drop': () => {
    for (const session of sessions.keys()) { counts.dropped += 1; session.destroy(); }
    return {};
  },
  'POST /unbind': () => {
    for (const session of sessions.keys()) session.unbind(() => session.close());
    return {};
  },
};

const control = http.createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; });
  request.on('end', () => {
    try {
      const command = commands[`${request.method} ${request.url}`];
      if (!command) throw new Error(`no ${request.method} ${request.url}`);
      response.end(JSON.stringify(command(body ? JSON.parse(body) : {})));
    } catch (e) {
      response.statusCode = 400;
      response.end(JSON.stringify({ error: String(e) }));
    }
  });
});

server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => {
  control.listen(0, '127.0.0.1', () => {
    console.log(`smsc ${server.address().port} control ${control.address().port}`);
  });
});
// It ends with whoever started it.
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
