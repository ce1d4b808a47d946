// Local times, refreshing, the live tail, the time slider, and buttons.
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
  const times = (root) => {
    for (const t of root.querySelectorAll("time[data-ms]")) {
      const ms = Number(t.dataset.ms);
      t.textContent = "since" in t.dataset ? (t.classList.contains("for") ? `for ${ago(ms)}` : `${ago(ms)} ago`) : clock(ms);
      t.title = new Date(ms).toISOString();
    }
  };

  const content = document.getElementById("content");
  const fetchInto = async (address) => {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("content");
    if (!fresh) return;
    const open = [...content.querySelectorAll("details[open]")].length > 0;
    content.replaceChildren(...fresh.childNodes);
    if (open) for (const d of content.querySelectorAll("details")) d.open = true;
    if (fresh.dataset.refresh) content.dataset.refresh = fresh.dataset.refresh;
    else delete content.dataset.refresh;
    ready();
  };
  const state = document.getElementById("live-state");
  const refresh = async () => {
    const every = Number(content?.dataset.refresh || 0);
    const busy = document.hidden || content?.contains(document.activeElement) || String(getSelection());
    if (every && !busy) {
      try {
        await fetchInto(location.href);
        state.textContent = "";
      } catch {
        state.textContent = "Patchbay does not answer; showing the last known state.";
      }
    }
    setTimeout(refresh, (every || 3) * 1000);
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-post]");
    if (!button) return;
    if (button.dataset.sure && !confirm(button.dataset.sure)) return;
    button.disabled = true;
    const answer = await fetch(button.dataset.post, {
      method: "POST", headers: { "content-type": "application/json" }, body: button.dataset.body,
    });
    if (!answer.ok) {
      const why = await answer.json().catch(() => ({}));
      alert(why.error || `The request failed (HTTP ${answer.status}).`);
    }
    button.blur();
    await fetchInto(location.href);
  });

  const slider = () => {
    const input = document.getElementById("instant");
    if (!input || input.dataset.ready) return;
    input.dataset.ready = "1";
    const stops = input.dataset.stops.split(",").map(Number);
    const output = input.parentElement.querySelector("output");
    const show = () => { output.textContent = clock(stops[input.value]); };
    input.addEventListener("input", show);
    input.addEventListener("change", async () => {
      const last = Number(input.value) === stops.length - 1;
      const at = last ? "" : `&at=${stops[input.value]}`;
      const address = `/session?id=${encodeURIComponent(input.dataset.session)}${at}`;
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
    const say = (text, kind) => { badge.textContent = text; badge.className = `state ${kind}`; };
    const cell = (row, text, href) => {
      const td = row.insertCell();
      if (href) {
        const a = document.createElement("a");
        a.href = href; a.textContent = text; td.append(a);
      } else td.textContent = text ?? "";
      return td;
    };
    const add = (e) => {
      document.getElementById("tail-empty").hidden = true;
      const row = table.insertRow(0);
      cell(row, clock(e.at)).className = "nowrap";
      cell(row, e.event.replaceAll("_", " ")).className = "nowrap strong";
      cell(row, e.channel);
      const id = e.messageId;
      if (id) cell(row, id.length > 18 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id, `/message?id=${encodeURIComponent(id)}`).title = id;
      else if (e.sessionId) cell(row, "session", `/session?id=${encodeURIComponent(e.sessionId)}`);
      else cell(row, "");
      cell(row, (e.part ? `part ${e.part} ` : "") + (e.detail || ""));
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
    source.onopen = () => say("live", "good");
    source.onerror = () => say("not connected", "bad");
    source.onmessage = (m) => {
      const e = JSON.parse(m.data);
      if (!paused) add(e);
      else { held.push(e); if (held.length > ROWS_MAX) held.shift(); }
    };
    source.addEventListener("lag", (m) => {
      const row = table.insertRow(0);
      const td = row.insertCell();
      td.colSpan = 5;
      td.className = "warn";
      td.textContent = `${JSON.parse(m.data).missed} events were skipped: they came faster than they could be shown`;
    });
  };

  const ready = () => { times(document); slider(); };
  ready();
  tail();
  setInterval(() => times(document), 1000);
  if (content) setTimeout(refresh, 2000);
})();
