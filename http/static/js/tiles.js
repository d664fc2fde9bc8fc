// The three questions, answered; and the figures below them.

import { $, el, say, tone } from "./dom.js";
import { DASH, count, duration, percent, plural, rate } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const SPARK_POINTS = 90;
const SPARK_FEWEST = 12; // with less than that it begins further right
const SECOND_MS = 1000;
const GOOD_SCORE = 90; // as in conf/audit.yaml
const LAG_MAX = 100; // batches that may wait for a symbol before it is worth a look
const WELL = new Set(["running", "retired", "elsewhere"]);

const history = [];

const total = (live) => {
  const known = [...live.rates.values()].filter((row) => row.events_per_second !== null);
  return known.length ? known.reduce((sum, row) => sum + row.events_per_second, 0) : null;
};

function answer(id, name, verdict, small, reason) {
  const box = $(id);
  tone(box, name);
  const node = box.querySelector(".verdict");
  if (node.dataset.is !== `${verdict}|${small}`) {
    node.dataset.is = `${verdict}|${small}`;
    node.replaceChildren(verdict, ...(small ? [el("small", {}, small)] : []));
  }
  say(box.querySelector(".reason"), reason);
}

function flowing(live, supervisorAnswers) {
  const all = total(live);
  if (!live.connected || !supervisorAnswers) {
    return ["quiet", "Unknown", "", live.connected ? "The supervisor does not report." : "The service does not answer; trying again."];
  }
  if (all === null) return ["quiet", "…", "", "Counting the first events."];
  const silent = [...live.rates.values()].filter((row) => row.events_per_second === 0).map((row) => row.symbol);
  const small = `${rate(all)} events/s`;
  if (all === 0) return ["bad", "No", small, "No event of any symbol has come for ten seconds."];
  if (silent.length) {
    const named = silent.slice(0, 3).join(", ") + (silent.length > 3 ? " …" : "");
    return ["warn", "In part", small, `${plural(silent.length, "symbol")} silent: ${named}.`];
  }
  return ["good", "Yes", small, `All ${plural(live.rates.size, "symbol")} are heard.`];
}

function missing(live, service) {
  if (!service || service.gaps_open === null) return ["quiet", "Unknown", "", "The catalog has not answered yet."];
  if (!service.catalog_answers) return ["quiet", "Unknown", "", "The catalog does not answer; the gaps below are older."];
  if (service.gaps_open === 0) return ["good", "Nothing", "", "The audit knows of no open gap."];
  const symbols = new Set([...live.gaps.values()].map((gap) => gap.pair));
  const waiting = [...live.gaps.values()].filter((gap) => gap.status === "open").length;
  return ["warn", "Yes", plural(service.gaps_open, "open gap"), `In ${plural(symbols.size, "symbol")}; ${waiting ? `${count(waiting)} not yet in repair` : "all of them in repair"}.`];
}

function repairing(live, service) {
  const meter = $("repairing").querySelector(".meter");
  const jobs = [...live.jobs.values()];
  const running = jobs.filter((job) => job.status === "running");
  meter.hidden = running.length === 0;
  if (!service || service.jobs_open === null) return ["quiet", "Unknown", "", "The catalog has not answered yet."];
  if (running.length) {
    const mean = running.reduce((sum, job) => sum + job.progress, 0) / running.length;
    meter.firstElementChild.style.width = `${mean}%`;
    const waiting = service.jobs_open - running.length;
    return ["info", "Yes", `${plural(running.length, "job")} at ${percent(mean, 0)}`, waiting > 0 ? `${plural(waiting, "more job waits", "more jobs wait")} for their turn.` : "Nothing else waits."];
  }
  if (service.jobs_open > 0) return ["warn", "Soon", plural(service.jobs_open, "job"), "Waiting for backfill, or for the exchange to answer again."];
  const failed = jobs.filter((job) => job.status === "failed").length;
  if (failed) return ["warn", "No", "", `${plural(failed, "of the last jobs", "of the last jobs")} failed; see below.`];
  return ["good", "No", "", "No job is running and none waits."];
}

function figures(live, health) {
  const actors = [...live.tree.values()];
  const rates = [...live.rates.values()];
  const well = actors.filter((actor) => WELL.has(actor.state)).length;
  const restarts = actors.reduce((sum, actor) => sum + actor.restarts, 0);
  const bad = live.service.get("service")?.quarantined ?? null;
  const known = (number) => (actors.length ? count(number) : DASH);
  const score = health?.overall_score ?? null;
  const lag = actors.reduce((most, actor) => Math.max(most, actor.symbol ? actor.lag ?? 0 : 0), 0);
  return [
    ["actors running", actors.length ? `${count(well)} / ${count(actors.length)}` : DASH, well < actors.length ? "warn" : ""],
    ["restarts", known(restarts), ""],
    ["events taken in", known(rates.reduce((sum, row) => sum + row.events, 0)), ""],
    ["batches behind", known(lag), lag > LAG_MAX ? "warn" : ""],
    ["quarantined", count(bad), bad ? "warn" : ""],
    ["quality score", score === null ? DASH : score.toFixed(1), score !== null && score < GOOD_SCORE ? "warn" : ""],
    ["open incidents", known(live.incidents.size), live.incidents.size ? "warn" : ""],
    ["up for", duration(upFor(actors)), ""],
  ];
}

function upFor(actors) {
  const first = Math.min(...actors.map((actor) => Date.parse(actor.started_at ?? "")).filter(Number.isFinite));
  return Number.isFinite(first) ? (Date.now() - first) / SECOND_MS : null;
}

function showFigures(rows) {
  const list = $("figures");
  if (list.childElementCount !== rows.length) {
    list.replaceChildren(...rows.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
  }
  rows.forEach(([, value, name], index) => {
    const box = list.children[index];
    say(box.querySelector("dd"), value);
    if (name) tone(box, name);
    else delete box.dataset.tone;
  });
}

function spark() {
  const most = Math.max(1, ...history);
  const wide = Math.max(SPARK_FEWEST, history.length);
  const x = (index) => ((wide - history.length + index) / (wide - 1)) * 100;
  const points = history.map((value, index) => `${x(index)},${(1 - value / most) * 40 + 2}`);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 44");
  svg.setAttribute("preserveAspectRatio", "none");
  for (const [name, tag, value] of [["area", "polygon", `${x(0)},44 ${points.join(" ")} 100,44`], ["line", "polyline", points.join(" ")]]) {
    const shape = document.createElementNS(SVG, tag);
    shape.setAttribute("class", name);
    shape.setAttribute("points", value);
    svg.append(shape);
  }
  $("flowing").querySelector(".spark").replaceChildren(svg);
}

/** Keep the tiles up to date; `health()` is the newest summary, or null. */
export function tiles(live, health) {
  const show = () => {
    const service = live.service.get("service");
    answer("flowing", ...flowing(live, service?.supervisor_answers));
    answer("missing", ...missing(live, service));
    answer("repairing", ...repairing(live, service));
    showFigures(figures(live, health()?.data));
  };
  live.on(["rates", "gaps", "jobs", "service", "tree", "incidents", "connection"], show);
  setInterval(() => {
    const all = total(live);
    if (all === null) return;
    history.push(all);
    if (history.length > SPARK_POINTS) history.shift();
    if (history.length > 1) spark();
  }, SECOND_MS);
  return show;
}
