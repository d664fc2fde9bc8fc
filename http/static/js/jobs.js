// Backfill's jobs: those under way and waiting, then those that ended last.

import { $, el, say, tone } from "./dom.js";
import { DASH, clock, count, dataset, day, duration, ms, percent, range, rate } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const TONES = { running: "info", pending: "quiet", completed: "good", failed: "bad" };
const LONG_MS = 3 * 86_400_000;
const ORDER = ["running", "failed", "pending", "completed"];

/** A range by its days where it is long. */
const spanned = (start, end) => (ms(end) - ms(start) > LONG_MS ? `${day(ms(start))} to ${day(ms(end))}` : range(start, end));

function rest(job) {
  if (job.completed_at) return `ended ${clock(ms(job.completed_at)).slice(0, 5)}`;
  return job.eta_seconds === null ? DASH : `${duration(job.eta_seconds)} left`;
}

function makeRow() {
  const name = el("span");
  const what = el("span", { className: "sub" });
  const state = el("span", { className: "badge" });
  const progress = el("progress", { max: 100 });
  const done = el("span", { className: "number" });
  const rows = cell("number roomy-only");
  const speed = cell("number roomy-only");
  const left = cell("wide-only");
  const cells = [head(name, what), cell("", state), cell("", progress, " ", done), rows, speed, left];
  return {
    cells,
    update(job) {
      const { symbol, data_type, timeframe, start_time, end_time } = job.request;
      say(name, `${symbol} ${dataset(data_type, timeframe)}`);
      say(what, job.error_message || [job.reason, spanned(start_time, end_time)].filter(Boolean).join(", "));
      what.classList.toggle("problem", Boolean(job.error_message));
      what.title = what.textContent;
      say(state, job.status);
      tone(state, TONES[job.status]);
      progress.value = job.progress;
      progress.classList.toggle("ended", job.status !== "running");
      progress.setAttribute("aria-label", `Progress of ${symbol} ${dataset(data_type, timeframe)}`);
      say(done, percent(job.progress, 0));
      say(rows, count(job.records_fetched));
      say(speed, rate(job.rows_per_second));
      say(left, rest(job));
    },
  };
}

const place = (job) => ORDER.indexOf(job.status);
const newest = (a, b) => (b.completed_at ?? b.created_at ?? "").localeCompare(a.completed_at ?? a.created_at ?? "");

export function jobs(live) {
  const table = new WindowedTable($("jobs"), {
    caption: "Repair jobs, those under way first",
    columns: [
      { title: "Data, reason and range" }, { title: "State" }, { title: "Progress" },
      { title: "Rows", className: "number roomy-only" }, { title: "Rows/s", className: "number roomy-only" }, { title: "Rest", className: "wide-only" },
    ],
    makeRow,
    empty: "No job yet: gaps that an audit finds become jobs.",
  });
  live.on(["jobs", "service"], () => {
    const found = [...live.jobs.values()].sort((a, b) => place(a) - place(b) || newest(a, b));
    table.show(found, (job) => job.job_id);
    const open = live.service.get("service")?.jobs_open;
    say($("jobs-count"), open === null || open === undefined ? "" : `${count(open)} open`);
  });
}
