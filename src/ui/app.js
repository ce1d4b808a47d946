// Local times, refreshing in place, the live tail, the time slider, buttons, and copying.
"use strict";
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const clock = (ms) => {
    const d = new Date(ms);
    const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
    const same = new Date().toDateString() === d.toDateString();
    return same ? `${time}.${String(d.getMilliseconds()).padStart(3, "0")}` : `${day} ${time}`;
  };
  const ago = (ms) => {
    const s = Math.max(0, Math.round((Date.now() - ms) / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d`;
  };
  const shown = (t) => {
    const ms = Number(t.dataset.ms);
    if (t.classList.contains("tick")) return `${two(new Date(ms).getHours())}:${two(new Date(ms).getMinutes())}`;
    if (!("since" in t.dataset)) return clock(ms);
    return t.classList.contains("for") ? `for ${ago(ms)}` : `${ago(ms)} ago`;
  };
  const times = (root) => {
    for (const t of root.querySelectorAll("[data-ms]")) {
      const text = shown(t);
      // A live region would tell every write, also of the same text.
      if (t.textContent !== text) t.textContent = text;
      if (t.localName === "time" && !t.title) t.title = new Date(Number(t.dataset.ms)).toISOString();
    }
  };

  // Makes one tree like another and keeps the elements, so that focus, selection and the place of
  // the page stay.
  const KEPT = new Set(["open", "data-ready", "title"]);
  const key = (node) => `${node.nodeName} ${node.id || ""} ${node.classList?.[0] || ""}`;
  const alike = (a, b) => key(a) === key(b);
  // An age in a live region changes at every refresh: it is told anew once in a while alone.
  const TOLD_EVERY_MS = 30000;
  let toldAt = Date.now();
  const isTold = (old, fresh) => {
    if (old.getAttribute("role") !== "status" || old.textContent === fresh.textContent) return false;
    const words = (node) => node.textContent.replace(/\d+/g, "");
    if (words(old) === words(fresh) && Date.now() - toldAt < TOLD_EVERY_MS) return true;
    toldAt = Date.now();
    return false;
  };
  const patch = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (isTold(old, fresh)) return;
    const same = old.dataset?.ms !== undefined && old.dataset.ms === fresh.dataset?.ms;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !KEPT.has(name)) old.setAttribute(name, value);
    }
    if (!same && old.localName !== "output") patchChildren(old, fresh);
  };
  const patchChildren = (old, fresh) => {
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      // Moving an element would take its focus: what stands before it and is gone is removed.
      let known = at;
      while (known && !alike(known, next)) known = known.nextSibling;
      while (known && at !== known) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      if (at && alike(at, next)) {
        patch(at, next);
        at = at.nextSibling;
      } else {
        old.insertBefore(next, at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  const content = document.getElementById("content");
  const notice = document.getElementById("notice");
  const say = (text, isBad) => {
    if (!notice) return;
    if (notice.textContent !== text) notice.textContent = text;
    notice.className = isBad ? "bad" : "good";
  };
  const UNREACHABLE = "Patchbay does not answer; showing the last known state.";
  const fetchInto = async (address) => {
    const every = Number(content?.dataset.refresh || 0);
    const wanted = address || (every ? location.href : "/state");
    const answer = await fetch(wanted, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status === 401) { location.reload(); return; }
    const health = page.getElementById("health"), fresh = page.getElementById("content");
    if (!health || !fresh) return;
    times(page);
    patch(document.getElementById("health"), health);
    const icon = document.querySelector("link[rel=icon]");
    if (icon.getAttribute("href") !== health.dataset.icon) icon.href = health.dataset.icon;
    const [state] = page.title.split(" · ");
    document.title = wanted === "/state" ? [state, ...document.title.split(" · ").slice(1)].join(" · ") : page.title;
    if (wanted !== "/state") patch(content, fresh);
    ready();
  };
  const refresh = async () => {
    const every = Number(content.dataset.refresh || 5);
    if (!document.hidden && !document.querySelector("dialog[open]")) {
      try {
        await fetchInto("");
        if (notice.textContent === UNREACHABLE) say("", false);
      } catch {
        say(UNREACHABLE, true);
      }
    }
    setTimeout(refresh, every * 1000);
  };

  const dialog = document.getElementById("sure");
  const isSure = (question) => new Promise((decide) => {
    if (!question) { decide(true); return; }
    document.getElementById("sure-text").textContent = question;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => decide(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
  const told = (name, answer) => {
    const counts = Object.entries(answer).filter(([key, value]) => typeof value === "number" && key !== "since");
    const words = counts.map(([key, value]) => `${value} ${key}`).join(", ") || "done";
    return `${name}: ${words}${answer.more ? "; there are more, do it again" : ""}.`;
  };
  const perform = async (button) => {
    const name = button.textContent.trim().replace(/\s+/g, " ");
    if (!(await isSure(button.dataset.sure))) return;
    button.setAttribute("aria-disabled", "true");
    try {
      const answer = await fetch(button.dataset.post, {
        method: "POST", headers: { "content-type": "application/json" }, body: button.dataset.body,
      });
      const said = await answer.json().catch(() => ({}));
      if (!answer.ok) say(said.detail || `The request failed (HTTP ${answer.status}).`, true);
      else if (button.dataset.then && said.messageId) {
        location.href = button.dataset.then + encodeURIComponent(said.messageId);
        return;
      } else say(told(name, said), false);
      await fetchInto("");
    } catch {
      say(UNREACHABLE, true);
    }
    button.removeAttribute("aria-disabled");
    // A row that is gone takes the focus with it.
    if (!button.isConnected) content.focus();
  };
  const copy = async (id) => {
    const text = document.getElementById(id);
    try {
      await navigator.clipboard.writeText(text.textContent);
      say("Copied.", false);
    } catch {
      getSelection().selectAllChildren(text);
      say("Selected: copy it with the keyboard.", false);
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-post], button[data-copy]");
    if (!button || button.getAttribute("aria-disabled")) return;
    if (button.dataset.copy) copy(button.dataset.copy);
    else perform(button);
  });

  const slider = () => {
    const input = document.getElementById("instant");
    if (!input || input.dataset.ready) return;
    input.dataset.ready = "1";
    const stops = () => input.dataset.stops.split(",").map(Number);
    const output = input.parentElement.querySelector("output");
    const show = () => { output.textContent = clock(stops()[input.value]); };
    input.addEventListener("input", show);
    input.addEventListener("change", async () => {
      const last = Number(input.value) === stops().length - 1;
      const at = last ? "" : `&at=${stops()[input.value]}`;
      const view = input.dataset.view ? `&view=${encodeURIComponent(input.dataset.view)}` : "";
      const address = `/session?id=${encodeURIComponent(input.dataset.session)}${view}${at}`;
      history.replaceState(null, "", address);
      await fetchInto(address);
    });
    show();
  };

  const ROWS_MAX = 500;
  const tail = () => {
    const table = document.querySelector("#tail tbody");
    if (!table) return;
    const badge = document.getElementById("tail-state");
    const pause = document.getElementById("tail-pause");
    let paused = false, held = [];
    const mark = (text, kind) => { badge.textContent = text; badge.className = `state ${kind}`; };
    const cell = (row, name, text, href) => {
      const td = row.insertCell();
      td.dataset.label = name;
      if (href) {
        const a = document.createElement("a");
        a.href = href; a.textContent = text; td.append(a);
      } else td.textContent = text ?? "";
      return td;
    };
    const row = () => {
      document.getElementById("tail-empty").hidden = true;
      document.getElementById("tail-rows").hidden = false;
      return table.insertRow(0);
    };
    const add = (e) => {
      const at = row();
      cell(at, "Time", clock(e.at)).className = "nowrap";
      cell(at, "Event", e.event.replaceAll("_", " ")).className = "strong";
      cell(at, "Channel", e.channel);
      const id = e.messageId;
      if (id) cell(at, "Message", id.length > 18 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id, `/message?id=${encodeURIComponent(id)}`).title = id;
      else if (e.sessionId) cell(at, "Message", "session", `/session?id=${encodeURIComponent(e.sessionId)}`);
      else cell(at, "Message", "");
      // The id of the message is in a cell of its own.
      const detail = id && e.detail?.startsWith(`${id} `) ? e.detail.slice(id.length + 1) : e.detail;
      cell(at, "Detail", (e.part ? `part ${e.part} ` : "") + (detail || ""));
      while (table.rows.length > ROWS_MAX) table.deleteRow(-1);
    };
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Resume" : "Pause";
      if (!paused) { held.forEach(add); held = []; }
    });
    const filter = new URLSearchParams();
    for (const [key, value] of new URLSearchParams(location.search)) if (value) filter.set(key, value);
    const source = new EventSource(`/api/tail?${filter}`);
    source.onopen = () => mark("live", "good");
    source.onerror = () => mark("not connected", "bad");
    source.onmessage = (m) => {
      const e = JSON.parse(m.data);
      if (!paused) add(e);
      else { held.push(e); if (held.length > ROWS_MAX) held.shift(); }
    };
    source.addEventListener("lag", (m) => {
      const td = row().insertCell();
      td.colSpan = 5;
      td.className = "warn";
      td.textContent = `${JSON.parse(m.data).missed} events were skipped: they came faster than they could be shown`;
    });
  };

  const ready = () => { times(document); slider(); };
  ready();
  tail();
  // The newest of a conversation is at its end.
  const chat = document.querySelector(".chat");
  if (chat && !location.search.includes("older=")) chat.scrollTop = chat.scrollHeight;
  setInterval(() => times(document), 1000);
  if (content && notice) setTimeout(refresh, 2000);
})();
