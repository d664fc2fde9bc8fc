// What is missing of each symbol's last 24 hours, hour by hour; an hour with a gap tells of it.

import { get } from "./api.js";
import { $, el, say } from "./dom.js";
import { clock, dataset, day, moment, ms, range } from "./format.js";

const HOUR_MS = 3_600_000;
const HOURS = 24;
const REFRESH_MS = 60_000;
const SOON_MS = 500; // after a change of the open gaps: what has ended is only in /gaps
const GAPS_LIMIT = 1000;

// The worst one names the hour.
const STATES = ["exchange_empty", "closed", "unfillable", "backfilling", "open"];
const WORDS = {
  open: "missing", backfilling: "in repair", closed: "repaired", unfillable: "lost for good", exchange_empty: "empty at the exchange",
};

const thisHour = () => Math.floor(Date.now() / HOUR_MS);

const worst = (gaps) => STATES[Math.max(...gaps.map((gap) => STATES.indexOf(gap.status)))];

/** Gaps by symbol and hour (since 1970), of the last day. */
function byHour(gaps) {
  const found = new Map();
  const first = thisHour() - HOURS + 1;
  for (const gap of gaps) {
    const hours = found.get(gap.pair) ?? found.set(gap.pair, new Map()).get(gap.pair);
    const from = Math.max(first, Math.floor(ms(gap.start) / HOUR_MS));
    const to = Math.min(thisHour(), Math.floor((ms(gap.end) - 1) / HOUR_MS));
    for (let hour = from; hour <= to; hour++) {
      if (!hours.has(hour)) hours.set(hour, []);
      hours.get(hour).push(gap);
    }
  }
  return found;
}

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

function hourOf(symbol, hour, gaps) {
  const state = worst(gaps);
  const text = `${symbol} ${clock(hour * HOUR_MS).slice(0, 5)}: ${WORDS[state]}`;
  const button = el("button", { type: "button", className: "hour", "data-state": state, "data-hour": hour, title: text, "aria-label": text });
  button.addEventListener("click", () => explain(symbol, hour, gaps));
  return button;
}

/** The hour (since 1970) of each symbol's first bar of the last day: null where there is none, undefined while it is not known. */
class Beginnings {
  #known = new Map();
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  of(symbol) {
    const known = this.#known.get(symbol);
    const isWhole = (known?.hour ?? Infinity) <= thisHour() - HOURS + 1; // else history may still come
    if (!isWhole && (known === undefined || Date.now() - known.askedAt > REFRESH_MS)) this.#ask(symbol);
    return this.#known.get(symbol).hour;
  }

  async #ask(symbol) {
    const known = { askedAt: Date.now(), hour: this.#known.get(symbol)?.hour };
    this.#known.set(symbol, known);
    const start = new Date((thisHour() - HOURS + 1) * HOUR_MS).toISOString();
    const found = await get("/data/candles", { pair: symbol, period: "1m", limit: 1, dialect: "head", start }).catch(() => null);
    if (!found) return; // what was known stays
    const first = found.data[0]?.timestamp;
    known.hour = first ? Math.floor(ms(first) / HOUR_MS) : null;
    this.#changed();
  }
}

export class Coverage {
  #live;
  #changed;
  #ended = []; // all gaps that /gaps had, those that have ended with them
  #gaps = new Map();
  #begins;

  /** `changed` is called when there is something else to draw. */
  constructor(live, changed) {
    this.#live = live;
    this.#changed = changed;
    this.#begins = new Beginnings(changed);
    let due = null;
    live.on(["gaps"], () => {
      this.#sort();
      due ??= setTimeout(() => {
        due = null;
        this.#read();
      }, SOON_MS);
    });
    setInterval(() => document.hidden || this.#read(), REFRESH_MS);
    this.#read();
  }

  /** Draw the hours of a symbol into a box, unless they are there already. */
  draw(box, symbol) {
    const hours = this.#gaps.get(symbol) ?? new Map();
    const begins = this.#begins.of(symbol) ?? Infinity;
    const now = thisHour();
    const shown = Array.from({ length: HOURS }, (_, index) => now - HOURS + 1 + index);
    const is = [begins, ...shown.map((hour) => `${hour}:${(hours.get(hour) ?? []).map((gap) => gap.gap_id + gap.status)}`)].join();
    if (box.dataset.is === is) return;
    box.dataset.is = is;
    const held = box.contains(document.activeElement) ? document.activeElement.dataset.hour : null;
    box.replaceChildren(...shown.map((hour) => (hours.has(hour)
      ? hourOf(symbol, hour, hours.get(hour)) : el("i", { className: "hour", "data-state": hour < begins ? "none" : "whole" }))));
    if (held !== null) box.querySelector(`[data-hour="${held}"]`)?.focus();
  }

  #sort() {
    const gaps = new Map(this.#ended.map((gap) => [gap.gap_id, gap]));
    for (const gap of this.#live.gaps.values()) gaps.set(gap.gap_id, gap);
    this.#gaps = byHour(gaps.values());
    this.#changed();
  }

  async #read() {
    try {
      this.#ended = (await get("/gaps", { limit: GAPS_LIMIT })).data;
    } catch {
      return; // the tile says that the catalog or the service does not answer; the next round tries again
    }
    this.#sort();
  }
}
