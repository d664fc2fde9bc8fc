// Candles over volume on one time axis without holes, drawn by TradingView's Lightweight Charts.

import { CandlestickSeries, CrosshairMode, HistogramSeries, createChart } from "../vendor/lightweight-charts-5.2.1/lightweight-charts.standalone.production.mjs";
import { Bars } from "./bars.js";
import { $, el, say } from "./dom.js";
import { figure, moment, ms, plural } from "./format.js";
import { Spans } from "./spans.js";

const SHOWN = 120; // bars at first
const SHOWN_ON_A_PHONE = 60;
const PHONE_PX = 520;
const ROOM = 5; // bars that are left free after the newest one
const FEWEST = 15;
const REFRESH_MS = 5000;
const SOON_MS = 1000; // after a change of the gaps
const ZOOM = 0.75;

const GAP_COLOURS = { backfilling: "warn", exchange_empty: "muted" };

const host = $("chart");
const bars = new Bars();
const spans = new Spans();
const drawing = createChart(host.firstElementChild, {
  autoSize: true,
  layout: { attributionLogo: false, background: { color: "transparent" }, fontSize: 11 }, // the logo would bring a style of its own; its link is below the chart
  timeScale: { timeVisible: true, borderVisible: false, minBarSpacing: 1, rightOffset: ROOM },
  rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.06, bottom: 0.24 } },
  localization: { locale: "en", timeFormatter: (seconds) => moment(new Date(seconds * 1000).toISOString()) },
  handleScroll: { vertTouchDrag: false }, // a finger that goes up or down scrolls the page
});
const candles = drawing.addSeries(CandlestickSeries);
const volume = drawing.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
candles.attachPrimitive(spans);

let shown = { bars: [], gaps: [], from: 0, step: 1 };
let pointed = null; // time of the bar that is being read

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Every slot of the axis with its bar, or with nothing, which keeps its place free. */
function slots({ bars: known, from, to, step }) {
  const byTime = new Map(known.map((bar) => [bar.time, bar]));
  const first = Math.max(from, known[0].time);
  return Array.from({ length: (to - first) / step }, (_, index) => {
    const time = first + index * step;
    return { time, bar: byTime.get(time) };
  });
}

function draw() {
  const [good, bad, accent] = ["good", "bad", "accent"].map(colour);
  const axis = shown.bars.length ? slots(shown) : [];
  const seconds = (time) => time / 1000;
  candles.setData(axis.map(({ time, bar }) => {
    if (!bar) return { time: seconds(time) };
    const tone = bar.close >= bar.open ? good : bad;
    const { open, high, low, close } = bar;
    return { time: seconds(time), open, high, low, close, color: bar.complete ? tone : "transparent", borderColor: tone, wickColor: tone };
  }));
  volume.setData(axis.map(({ time, bar }) => (bar ? { time: seconds(time), value: bar.volume, color: `${bar.close >= bar.open ? good : bad}70` } : { time: seconds(time) })));
  const place = (time) => (axis.length ? (time - axis[0].time) / shown.step : 0);
  const repaired = shown.bars.filter((bar) => bar.repaired).map((bar) => ({ from: place(bar.time), to: place(bar.time) + 1, colour: accent, isHatched: false }));
  const missing = shown.gaps.map((gap) => ({
    from: Math.max(0, place(ms(gap.start))), to: Math.min(axis.length, place(ms(gap.end))), colour: colour(GAP_COLOURS[gap.status] ?? "bad"), isHatched: true,
  }));
  spans.show([...repaired, ...missing].filter(({ from, to }) => from < to)); // the axis begins with the first bar
}

function dress() {
  const [ink, line, strong, accent] = ["muted", "line", "line-strong", "accent"].map(colour);
  const hair = { color: strong, labelBackgroundColor: strong };
  drawing.applyOptions({
    layout: { textColor: ink, fontFamily: colour("sans") },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: hair, horzLine: hair },
  });
  candles.applyOptions({ priceLineColor: accent });
  draw();
}

/** Show the newest bars, as many as there is room for. */
function rewind() {
  const length = candles.data().length;
  const many = host.clientWidth < PHONE_PX ? SHOWN_ON_A_PHONE : SHOWN;
  drawing.timeScale().setVisibleLogicalRange({ from: length - many, to: length + ROOM });
}

function zoom(factor) {
  const axis = drawing.timeScale();
  const { from, to } = axis.getVisibleLogicalRange();
  axis.setVisibleLogicalRange({ from: to - Math.max(FEWEST, (to - from) * factor), to });
}

function read() {
  const bar = shown.bars.find(({ time }) => time === pointed) ?? shown.bars.at(-1);
  if (!bar) return $("reading").replaceChildren();
  const parts = [["O", bar.open], ["H", bar.high], ["L", bar.low], ["C", bar.close], ["V", bar.volume]];
  const marks = [bar.source, bar.complete ? "complete" : "incomplete", ...(bar.repaired ? ["repaired"] : [])];
  $("reading").replaceChildren(
    el("b", {}, moment(bar.timestamp)),
    ...parts.flatMap(([name, value]) => [`  ${name} `, el("b", {}, figure(value, 7))]),
    `  ${marks.join(", ")}`,
  );
}

function point(index) {
  const bar = shown.bars[Math.max(0, Math.min(shown.bars.length - 1, index))];
  pointed = bar.time;
  const axis = drawing.timeScale();
  const at = (bar.time - Math.max(shown.from, shown.bars[0].time)) / shown.step;
  const { from, to } = axis.getVisibleLogicalRange();
  const off = at < from + 1 ? at - from - 1 : at > to - 1 ? at - to + 1 : 0;
  if (off) axis.setVisibleLogicalRange({ from: from + off, to: to + off });
  drawing.setCrosshairPosition(bar.close, bar.time / 1000, candles);
  read();
}

function byKey(event) {
  if (!shown.bars.length) return;
  const found = pointed === null ? -1 : shown.bars.findIndex(({ time }) => time === pointed);
  const at = found < 0 ? shown.bars.length - 1 : found;
  const act = {
    ArrowLeft: () => point(at - 1), ArrowRight: () => point(at + 1), Home: () => point(0), End: () => point(shown.bars.length - 1),
    "+": () => zoom(ZOOM), "-": () => zoom(1 / ZOOM), 0: rewind,
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function leave() {
  pointed = null;
  drawing.clearCrosshairPosition();
  read();
}

function describe() {
  const { symbol, period } = shown;
  const words = [plural(shown.bars.length, "bar"), plural(shown.gaps.length, "gap"), plural(shown.bars.filter((bar) => bar.repaired).length, "repaired bar")];
  host.setAttribute("aria-label", `Candle chart of ${symbol}, ${period}: ${words.join(", ")}`);
  $("chart-empty").hidden = shown.bars.length > 0;
  say($("chart-empty"), shown.message ?? `No ${period} bar of ${symbol} in this range yet.`);
  const digits = Math.max(...shown.bars.map((bar) => bar.digits), 0);
  candles.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
}

async function look(choice) {
  const { symbol, period } = choice;
  const found = await bars.look(choice);
  if (symbol !== choice.symbol || period !== choice.period) return;
  const isOther = shown.symbol !== symbol || shown.period !== period || !shown.bars.length;
  shown = found;
  describe();
  draw();
  if (isOther) rewind();
  read();
}

export function chart(live, choice) {
  const refresh = () => {
    if (choice.symbol && !document.hidden) look(choice).catch((problem) => {
      if (shown.bars.length) return;
      $("chart-empty").hidden = false;
      say($("chart-empty"), problem.message);
    });
  };
  choice.on(() => {
    pointed = null;
    say($("chart-title"), `Candles of ${choice.symbol}`);
    refresh();
  });
  drawing.subscribeCrosshairMove(({ time, sourceEvent }) => {
    if (!sourceEvent) return; // it was moved by a key
    pointed = time === undefined ? null : time * 1000;
    read();
  });
  host.addEventListener("keydown", byKey);
  host.addEventListener("focus", () => $("reading").setAttribute("aria-live", "polite"));
  host.addEventListener("blur", () => {
    $("reading").removeAttribute("aria-live");
    leave();
  });
  host.addEventListener("pointerleave", leave);
  document.addEventListener("themechange", dress);
  let due = null;
  live.on(["gaps"], () => {
    bars.expire();
    due ??= setTimeout(() => {
      due = null;
      refresh();
    }, SOON_MS);
  });
  setInterval(refresh, REFRESH_MS);
  dress();
}
