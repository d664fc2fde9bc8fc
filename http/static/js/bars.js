// The bars of a symbol and timeframe that the chart may show, and the gaps among them.

import { get } from "./api.js";
import { ms } from "./format.js";

export const STEP_MS = { "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000 };
const KEPT = 480;
const RECENT = 3; // bars that are asked for again and again; the others only with the gaps
const RELOAD_MS = 60_000; // sooner when an event says that gaps have changed
const GAPS_LIMIT = 500;

const concerns = (gap, period) => gap.data_type === "trades" || (gap.data_type === "candles" && [period, "1m"].includes(gap.timeframe));

const overlaps = (gap, from, to) => ms(gap.start) < to && ms(gap.end) > from;

/** Digits behind the point of a price as the exchange writes it. */
const decimals = (price) => String(price).replace(/0+$/, "").split(".")[1]?.length ?? 0;

const parsed = (bar) => {
  const [open, high, low, close, volume] = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(Number);
  return { ...bar, time: ms(bar.timestamp), open, high, low, close, volume, digits: decimals(bar.close) };
};

const NOTHING = { of: "", epoch: -1, loadedAt: 0, bars: new Map(), gaps: [], message: null };

async function take(symbol, period, from, to) {
  const within = { start: new Date(from).toISOString(), end: new Date(to).toISOString() };
  const found = await get("/data/candles", { pair: symbol, period, limit: KEPT, dialect: "head", ...within });
  return { bars: found.data.map(parsed), message: found.metadata?.message ?? null };
}

export class Bars {
  #known = NOTHING;
  #epoch = 0;

  /** Ask for everything the next time. */
  expire() {
    this.#epoch += 1;
  }

  /**
   * What is known now: {symbol, period, step, from, to, bars, gaps, message}, bars oldest first with numbers and
   * whether they were `repaired`, gaps those that are not. Raises what `get` raises.
   */
  async look({ symbol, period }) {
    const step = STEP_MS[period];
    const to = (Math.floor(Date.now() / step) + 1) * step;
    const from = to - KEPT * step;
    const of = `${symbol} ${period}`;
    const before = this.#known.of === of ? this.#known : NOTHING;
    const epoch = this.#epoch;
    const isFresh = before.epoch === epoch && Date.now() - before.loadedAt <= RELOAD_MS;
    const [found, gaps] = await Promise.all([
      take(symbol, period, isFresh ? to - RECENT * step : from, to),
      isFresh ? before.gaps : get("/gaps", { pair: symbol, limit: GAPS_LIMIT }).then(({ data }) => data.filter((gap) => concerns(gap, period))),
    ]);
    const bars = new Map([...before.bars].filter(([time]) => time >= from));
    for (const bar of found.bars) bars.set(bar.time, bar);
    this.#known = { of, epoch, bars, gaps, message: found.message, loadedAt: isFresh ? before.loadedAt : Date.now() };
    return { symbol, period, step, from, to, message: found.message, ...told(bars, gaps, from, to, step) };
  }
}

function told(bars, gaps, from, to, step) {
  const touching = gaps.filter((gap) => overlaps(gap, from, to));
  const repaired = touching.filter((gap) => gap.status === "closed");
  const isMended = (bar) => bar.complete && repaired.some((gap) => overlaps(gap, bar.time, bar.time + step));
  const inOrder = [...bars.values()].sort((a, b) => a.time - b.time);
  return { bars: inOrder.map((bar) => ({ ...bar, repaired: isMended(bar) })), gaps: touching.filter((gap) => gap.status !== "closed") };
}
