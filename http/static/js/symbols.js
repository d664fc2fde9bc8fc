// Every symbol in a line: how fast it comes in, and what is missing of its last 24 hours.

import { get } from "./api.js";
import { $, el, say } from "./dom.js";
import { clock, count, dataset, day, moment, ms, range, rate } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const HOUR_MS = 3_600_000;
const HOURS = 24;
const REFRESH_MS = 60_000;
const SOON_MS = 1500; // after a change of the open gaps: what has ended is only in /gaps
const GAPS_LIMIT = 1000;

// The worst one names the hour.
const STATES = ["exchange_empty", "closed", "unfillable", "backfilling", "open"];
const WORDS = {
  open: "missing", backfilling: "in repair", closed: "repaired", unfillable: "lost for good", exchange_empty: "empty at the exchange",
};

let known = []; // all gaps that touch the last day, open or ended
let bySymbol = new Map(); // symbol -> hour (since 1970) -> its gaps

const thisHour = () => Math.floor(Date.now() / HOUR_MS);

function sortIn(gaps) {
  bySymbol = new Map();
  const first = thisHour() - HOURS + 1;
  for (const gap of gaps) {
    const hours = bySymbol.get(gap.pair) ?? bySymbol.set(gap.pair, new Map()).get(gap.pair);
    const from = Math.max(first, Math.floor(ms(gap.start) / HOUR_MS));
    const to = Math.min(thisHour(), Math.floor((ms(gap.end) - 1) / HOUR_MS));
    for (let hour = from; hour <= to; hour++) {
      if (!hours.has(hour)) hours.set(hour, []);
      hours.get(hour).push(gap);
    }
  }
}

const worst = (gaps) => STATES[Math.max(...gaps.map((gap) => STATES.indexOf(gap.status)))];

function explain(symbol, hour, gaps) {
  say($("gap-heading"), `${symbol}, ${day(hour * HOUR_MS)} ${clock(hour * HOUR_MS).slice(0, 5)} to ${clock((hour + 1) * HOUR_MS).slice(0, 5)}`);
  $("gap-body").replaceChildren(
    ...gaps.map((gap) => {
      const line = (name, value) => (value ? [el("dt", {}, name), el("dd", {}, value)] : []);
      const job = gap.job_id ? el("a", { href: `/backfill/jobs/${encodeURIComponent(gap.job_id)}` }, gap.job_id) : null;
      return el(
        "div", { className: "gap" },
        el("strong", {}, `${dataset(gap.data_type, gap.timeframe)}: ${WORDS[gap.status]}`),
        el(
          "dl", { className: "facts" },
          ...line("Missing", range(gap.start, gap.end)), ...line("Cause", gap.cause ?? "not known"), ...line("Evidence", gap.evidence),
          ...line("Found", moment(gap.first_seen)), ...line("Ended", gap.closed_at && moment(gap.closed_at)), ...line("Job", job),
        ),
      );
    }),
  );
  $("gap-dialog").showModal();
}

function drawHours(box, symbol) {
  const hours = bySymbol.get(symbol) ?? new Map();
  const now = thisHour();
  const shown = Array.from({ length: HOURS }, (_, index) => now - HOURS + 1 + index);
  const is = shown.map((hour) => `${hour}:${hours.has(hour) ? worst(hours.get(hour)) + hours.get(hour).map((gap) => gap.gap_id + gap.status) : ""}`).join();
  if (box.dataset.is === is) return;
  box.dataset.is = is;
  const held = box.contains(document.activeElement) ? document.activeElement.dataset.hour : null;
  box.replaceChildren(
    ...shown.map((hour) => {
      const gaps = hours.get(hour);
      if (!gaps) return el("i", { className: "hour", "data-state": "whole" });
      const state = worst(gaps);
      const text = `${symbol} ${clock(hour * HOUR_MS).slice(0, 5)}: ${WORDS[state]}`;
      const button = el("button", { type: "button", className: "hour", "data-state": state, "data-hour": hour, title: text, "aria-label": text });
      button.addEventListener("click", () => explain(symbol, hour, gaps));
      return button;
    }),
  );
  if (held !== null) box.querySelector(`[data-hour="${held}"]`)?.focus();
}

/** The actors that take in a symbol's events, in start order; those of retired symbols, too. */
export const ingested = (live) => [...live.tree.values()].filter(({ name, symbol }) => symbol !== null && name === `ingest/${symbol}`);

export function symbols(live, choice) {
  let most = 1;

  function makeRow({ symbol }) {
    const name = el("button", { type: "button", className: "link", title: `Show ${symbol} in the chart` }, symbol);
    name.addEventListener("click", () => choice.set({ symbol }));
    const bar = el("span");
    const speed = el("span", { className: "number" });
    const lag = cell("number wide-only");
    const hours = el("div", { className: "hours" });
    const cells = [head(name), cell("", el("div", { className: "rate" }, el("div", { className: "bar" }, bar), speed)), lag, cell("coverage", hours)];
    return {
      cells,
      update(row, node) {
        const counted = live.rates.get(row.symbol)?.events_per_second;
        say(speed, row.state === "elsewhere" ? "elsewhere" : rate(counted));
        bar.style.width = `${((counted ?? 0) / most) * 100}%`;
        say(lag, count(row.lag));
        drawHours(hours, row.symbol);
        const chosen = choice.symbol === row.symbol;
        name.setAttribute("aria-pressed", chosen);
        node.setAttribute("aria-current", chosen);
      },
    };
  }

  const scale = el("div", { className: "hours-head" }, el("span", {}, "Coverage, 24 h ago"), el("span", {}, "now"));
  const table = new WindowedTable($("symbols"), {
    caption: "Symbols with their events a second and the gaps of their last 24 hours",
    columns: [{ title: "Symbol" }, { title: "Events/s" }, { title: "Behind", className: "number wide-only" }, { title: scale, className: "coverage" }],
    makeRow,
    empty: "No symbol yet.",
  });

  const show = () => {
    const wanted = $("filter").value.trim().toUpperCase();
    const all = ingested(live).filter((actor) => actor.state !== "retired");
    const found = all.filter((row) => row.symbol.includes(wanted));
    most = Math.max(1, ...[...live.rates.values()].map((row) => row.events_per_second ?? 0));
    say($("symbols-count"), wanted ? `${count(found.length)} of ${count(all.length)}` : count(all.length));
    table.show(found, (row) => row.symbol, wanted ? `No symbol has ${wanted} in its name.` : "No symbol yet.");
  };

  const merge = () => {
    const gaps = new Map(known.map((gap) => [gap.gap_id, gap]));
    for (const gap of live.gaps.values()) gaps.set(gap.gap_id, gap);
    sortIn(gaps.values());
    show();
  };

  const fetchEnded = async () => {
    try {
      known = (await get("/gaps", { limit: GAPS_LIMIT })).data;
      merge();
    } catch {
      // the tile says that the catalog or the service does not answer; the next round tries again
    }
  };

  let soon = 0;
  live.on(["gaps"], () => {
    merge();
    clearTimeout(soon);
    soon = setTimeout(fetchEnded, SOON_MS);
  });
  live.on(["rates", "tree"], show);
  choice.on(show);
  $("filter").addEventListener("input", show);
  setInterval(() => document.hidden || fetchEnded(), REFRESH_MS);
  fetchEnded();
}
