// Candles over volume, on one time axis without holes: where bars are missing it shows why.

import { get } from "./api.js";
import { $, el, say } from "./dom.js";
import { clock, day, figure, moment, ms, plural } from "./format.js";

const STEP_MS = { "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000 };
const BARS = 120;
const PHONE_BARS = 60;
const PHONE_PX = 520;
const GAPS_LIMIT = 500;
const REFRESH_MS = 5000;
const GAPS_REFRESH_MS = 60_000; // sooner when an event says that they have changed
const PRICE_PX = 64; // the scale at the right
const TIME_PX = 20; // and below
const VOLUME_PART = 0.2;
const GRID_LINES = 5;
const HATCH_PX = 7;
const LABEL_PX = 18; // the height of a price on its ground

let gapsOf = { symbol: null, at: 0, gaps: [] };

const canvas = $("chart");
const pen = canvas.getContext("2d");

let shown = { bars: [], gaps: [], from: 0, to: 0, step: 1 };
let pointed = null; // index of the bar that is being read

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const concerns = (gap, period) => gap.data_type === "trades" || (gap.data_type === "candles" && (gap.timeframe === period || gap.timeframe === "1m"));

const overlaps = (gap, from, to) => ms(gap.start) < to && ms(gap.end) > from;

async function gaps(symbol) {
  if (gapsOf.symbol !== symbol || Date.now() - gapsOf.at > GAPS_REFRESH_MS) {
    const found = await get("/gaps", { pair: symbol, limit: GAPS_LIMIT });
    gapsOf = { symbol, at: Date.now(), gaps: found.data };
  }
  return gapsOf.gaps;
}

async function look(choice) {
  const { symbol, period } = choice;
  const step = STEP_MS[period];
  const to = (Math.floor(Date.now() / step) + 1) * step;
  const from = to - (canvas.clientWidth < PHONE_PX ? PHONE_BARS : BARS) * step;
  const within = { start: new Date(from).toISOString(), end: new Date(to).toISOString() };
  const [candles, known] = await Promise.all([
    get("/data/candles", { pair: symbol, period, limit: BARS, dialect: "head", ...within }),
    gaps(symbol),
  ]);
  if (symbol !== choice.symbol || period !== choice.period) return;
  const touching = known.filter((gap) => concerns(gap, period) && overlaps(gap, from, to));
  const repaired = touching.filter((gap) => gap.status === "closed");
  const bars = candles.data.map((bar) => {
    const time = ms(bar.timestamp);
    const [open, high, low, close, volume] = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(Number);
    const mended = bar.complete && repaired.some((gap) => overlaps(gap, time, time + step));
    return { ...bar, time, open, high, low, close, volume, repaired: mended };
  });
  shown = { bars, gaps: touching.filter((gap) => gap.status !== "closed"), from, to, step };
  const empty = $("chart-empty");
  empty.hidden = bars.length > 0;
  say(empty, candles.metadata?.message ?? `No ${period} bar of ${symbol} in this range yet.`);
  const words = [plural(bars.length, "bar"), plural(shown.gaps.length, "gap"), `${plural(bars.filter((bar) => bar.repaired).length, "repaired bar")}`];
  canvas.setAttribute("aria-label", `Candle chart of ${symbol}, ${period}: ${words.join(", ")}`);
  draw();
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = `11px ${getComputedStyle(document.body).getPropertyValue("--mono")}`;
  const area = areaOf(width, height);
  drawTimes(area);
  drawGaps(area);
  if (shown.bars.length) {
    drawPrices(area);
    shown.bars.forEach((bar, index) => drawBar(area, bar, index === pointed));
  }
  read();
}

function areaOf(width, height) {
  const { bars, from, to, step } = shown;
  const right = width - PRICE_PX;
  const bottom = height - TIME_PX;
  const volumeTop = bottom * (1 - VOLUME_PART);
  const lowest = Math.min(...bars.map((bar) => bar.low));
  const highest = Math.max(...bars.map((bar) => bar.high));
  const room = (highest - lowest) * 0.06 || highest * 0.001 || 1;
  const [low, high] = [lowest - room, highest + room];
  const most = Math.max(...bars.map((bar) => bar.volume), Number.MIN_VALUE);
  return {
    width, right, bottom, low, high,
    x: (time) => ((time - from) / (to - from || 1)) * right,
    y: (price) => (1 - (price - low) / (high - low)) * (volumeTop - 8) + 4,
    tall: (volume) => (volume / most) * (bottom - volumeTop),
    barPx: (right / Math.max(1, (to - from) / step)),
  };
}

function drawTimes({ x, right, bottom }) {
  const { from, to, step } = shown;
  if (!to) return;
  const marks = right < 480 ? 3 : 6;
  const apart = Math.ceil((to - from) / step / marks) * step;
  pen.fillStyle = colour("muted");
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.textAlign = "center";
  for (let time = Math.ceil(from / apart) * apart; time < to; time += apart) {
    const at = Math.round(x(time)) + 0.5;
    pen.beginPath();
    pen.moveTo(at, 0);
    pen.lineTo(at, bottom);
    pen.stroke();
    if (at > 24 && at < right - 24) pen.fillText(step >= STEP_MS["1h"] ? `${day(time)} ${clock(time).slice(0, 2)}h` : clock(time).slice(0, 5), at, bottom + 14);
  }
}

function drawPrices({ y, low, high, right, width }) {
  const last = shown.bars.at(-1).close;
  const lastAt = y(last);
  pen.textAlign = "left";
  pen.lineWidth = 1;
  for (let line = 0; line < GRID_LINES; line++) {
    const price = low + ((high - low) * (line + 0.5)) / GRID_LINES;
    const at = Math.round(y(price)) + 0.5;
    pen.strokeStyle = colour("line");
    pen.beginPath();
    pen.moveTo(0, at);
    pen.lineTo(right, at);
    pen.stroke();
    pen.fillStyle = colour("muted");
    if (Math.abs(at - lastAt) > LABEL_PX) pen.fillText(figure(price, 6), right + 6, at + 4);
  }
  pen.fillStyle = colour("accent");
  pen.fillRect(right + 1, lastAt - LABEL_PX / 2, width - right - 1, LABEL_PX);
  pen.fillStyle = colour("on-accent");
  pen.fillText(figure(last, 6), right + 6, lastAt + 4);
}

function drawGaps({ x, right, bottom }) {
  for (const gap of shown.gaps) {
    const left = Math.max(0, x(ms(gap.start)));
    const wide = Math.max(3, Math.min(right, x(ms(gap.end))) - left);
    const name = gap.status === "backfilling" ? "warn" : gap.status === "exchange_empty" ? "muted" : "bad";
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, wide, bottom);
    pen.clip();
    pen.globalAlpha = 0.1;
    pen.fillStyle = colour(name);
    pen.fillRect(left, 0, wide, bottom);
    pen.globalAlpha = 0.75;
    pen.strokeStyle = colour(name);
    pen.lineWidth = 1;
    pen.beginPath();
    for (let at = left - bottom; at < left + wide; at += HATCH_PX) {
      pen.moveTo(at, bottom);
      pen.lineTo(at + bottom, 0);
    }
    pen.stroke();
    pen.restore();
  }
}

function drawBar({ x, y, tall, bottom, barPx }, bar, isPointed) {
  const middle = x(bar.time) + barPx / 2;
  const body = Math.max(1, Math.floor(barPx * 0.7));
  const left = Math.round(middle - body / 2);
  if (bar.repaired || isPointed) {
    pen.fillStyle = colour(isPointed ? "line-strong" : "accent");
    pen.globalAlpha = isPointed ? 0.35 : 0.22;
    pen.fillRect(x(bar.time), 0, barPx, bottom);
    pen.globalAlpha = 1;
  }
  const rises = bar.close >= bar.open;
  pen.fillStyle = pen.strokeStyle = colour(rises ? "good" : "bad");
  pen.lineWidth = 1;
  pen.setLineDash(bar.complete ? [] : [2, 2]);
  pen.beginPath();
  pen.moveTo(Math.round(middle) + 0.5, y(bar.high));
  pen.lineTo(Math.round(middle) + 0.5, y(bar.low));
  pen.stroke();
  const top = y(Math.max(bar.open, bar.close));
  const high = Math.max(1, y(Math.min(bar.open, bar.close)) - top);
  if (bar.complete) pen.fillRect(left, top, body, high);
  else pen.strokeRect(left + 0.5, top, Math.max(1, body - 1), high);
  pen.setLineDash([]);
  pen.globalAlpha = 0.45;
  pen.fillRect(left, bottom - tall(bar.volume), body, tall(bar.volume));
  pen.globalAlpha = 1;
}

function read() {
  const line = $("reading");
  const bar = shown.bars[pointed] ?? shown.bars.at(-1);
  if (!bar) return line.replaceChildren();
  const parts = [["O", bar.open], ["H", bar.high], ["L", bar.low], ["C", bar.close], ["V", bar.volume]];
  const marks = [bar.source, bar.complete ? "complete" : "incomplete", ...(bar.repaired ? ["repaired"] : [])];
  line.replaceChildren(
    el("b", {}, moment(bar.timestamp)),
    ...parts.flatMap(([name, value]) => [`  ${name} `, el("b", {}, figure(value, 7))]),
    `  ${marks.join(", ")}`,
  );
}

function point(index) {
  pointed = index === null ? null : Math.max(0, Math.min(shown.bars.length - 1, index));
  draw();
}

function follow(event) {
  const { bars, from, to } = shown;
  if (!bars.length) return;
  const time = from + (event.offsetX / (canvas.clientWidth - PRICE_PX)) * (to - from);
  const index = bars.findLastIndex((bar) => bar.time <= time);
  point(index < 0 ? 0 : index);
}

function byKey(event) {
  const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (move === undefined || !shown.bars.length) return;
  event.preventDefault();
  const at = pointed ?? shown.bars.length - 1;
  point(move === -Infinity ? 0 : move === Infinity ? shown.bars.length - 1 : at + move);
}

export function chart(live, choice) {
  const refresh = () => {
    if (choice.symbol && !document.hidden) look(choice).catch((problem) => {
      if (!shown.bars.length) {
        $("chart-empty").hidden = false;
        say($("chart-empty"), problem.message);
      }
    });
  };
  choice.on(() => {
    pointed = null;
    say($("chart-title"), `Candles of ${choice.symbol}`);
    refresh();
  });
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("keydown", byKey);
  canvas.addEventListener("focus", () => $("reading").setAttribute("aria-live", "polite"));
  canvas.addEventListener("blur", () => {
    $("reading").removeAttribute("aria-live");
    point(null);
  });
  new ResizeObserver(draw).observe(canvas);
  document.addEventListener("themechange", draw);
  live.on(["gaps"], () => {
    gapsOf.symbol = null;
  });
  setInterval(refresh, REFRESH_MS);
}
