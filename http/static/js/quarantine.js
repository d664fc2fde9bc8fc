// Events that could not be used: why, their bytes, and their way back.

import { get } from "./api.js";
import { replay } from "./commands.js";
import { $, badge, el, say, toast } from "./dom.js";
import { count, moment, plural } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const LIMIT = 200;
const REFRESH_MS = 60_000; // sooner when the counters say that there are more
const NO_SYMBOL = "no symbol";

let open = null; // id of the event in the dialog

function body(event) {
  const size = `${plural(event.raw_bytes, "byte")}, as ${event.raw_encoding === "base64" ? "base64" : "text"}${event.raw_truncated ? ", cut off" : ""}`;
  const rows = [
    ["Reason", event.reason], ["Detail", event.detail], ["Type", event.event_type], ["Received", moment(event.received_at)], ["Kept since", moment(event.stored_at)], ["Bytes", size],
  ];
  return [
    el("dl", { className: "facts" }, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("pre", { className: "raw", tabIndex: 0, role: "region", "aria-label": "Bytes of the event" }, event.raw),
  ];
}

async function showOne(eventId) {
  try {
    const event = await get(`/quarantine/${encodeURIComponent(eventId)}`);
    open = eventId;
    say($("event-heading"), `${event.pair ?? NO_SYMBOL}, ${event.reason}`);
    $("event-body").replaceChildren(...body(event));
    $("event-dialog").showModal();
  } catch (problem) {
    toast(problem.message, "bad");
  }
}

function makeRow({ event_id }) {
  const show = el("button", { type: "button", className: "link", title: "Show the event" });
  const below = el("span", { className: "sub" });
  const [symbol, type, reason, detail, size] = [cell("wide-only"), cell("wide-only"), cell(), cell("wide-only detail"), cell("number wide-only")];
  const again = el("button", { type: "button", "aria-label": `Replay ${event_id}` }, "Replay");
  show.addEventListener("click", () => showOne(event_id));
  again.addEventListener("click", () => replay(again, event_id));
  return {
    cells: [head(show, below), symbol, type, reason, detail, size, cell("", el("div", { className: "actions" }, again))],
    update(event) {
      say(show, moment(event.received_at));
      say(symbol, event.pair ?? NO_SYMBOL);
      say(type, event.event_type);
      say(below, `${symbol.textContent}, ${event.event_type}`);
      if (reason.textContent !== event.reason) reason.replaceChildren(badge(event.reason, "warn"));
      say(detail, event.detail);
      detail.title = event.detail;
      say(size, count(event.raw_bytes));
    },
  };
}

export function quarantine(live) {
  const table = new WindowedTable($("quarantine"), {
    caption: "Events that could not be used, the newest first",
    columns: [
      { title: "Received" }, { title: "Symbol", className: "wide-only" }, { title: "Type", className: "wide-only" }, { title: "Reason" }, { title: "Detail", className: "wide-only detail" },
      { title: "Bytes", className: "number wide-only" }, { title: "Actions", className: "number" },
    ],
    makeRow,
    empty: "Every event could be used.",
  });
  let total = -1; // of the counters, when the list was read

  const refresh = async () => {
    try {
      const found = (await get("/quarantine", { limit: LIMIT })).data;
      table.show(found, (event) => event.event_id, "Every event could be used.");
      say($("quarantine-count"), found.length < LIMIT ? plural(found.length, "event") : `the newest ${count(LIMIT)} events`);
    } catch (problem) {
      if (!table.items.length) table.show([], String, problem.message);
    }
  };

  live.on(["service"], () => {
    const counted = live.service.get("service")?.quarantined ?? 0;
    if (counted === total) return;
    total = counted;
    refresh();
  });
  setInterval(() => document.hidden || refresh(), REFRESH_MS);
  $("event-replay").addEventListener("click", () => {
    $("event-dialog").close(); // what becomes of it is told behind it
    replay($("event-replay"), open);
  });
}
