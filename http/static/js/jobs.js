// Backfill's jobs: those under way and waiting, then those that ended last.

import { $, el, say, tone } from "./dom.js";
import { DASH, count, dataset, duration, moment, percent, range, rate } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const TONES = { running: "info", pending: "quiet", completed: "good", failed: "bad" };
const ORDER = ["running", "failed", "pending", "completed"];

function rest(job) {
  if (job.error_message) return job.error_message;
  if (job.completed_at) return `ended ${moment(job.completed_at)}`;
  return job.eta_seconds === null ? DASH : `${duration(job.eta_seconds)} left`;
}

function makeRow() {
  const name = el("span");
  const what = cell();
  const span = cell("wide-only");
  const why = cell("wide-only");
  const state = el("span", { className: "badge" });
  const progress = el("progress", { max: 100 });
  const done = el("span", { className: "number" });
  const rows = cell("number wide-only");
  const speed = cell("number wide-only");
  const left = cell();
  const cells = [head(name), what, span, why, cell("", state), cell("", progress, " ", done), rows, speed, left];
  return {
    cells,
    update(job) {
      const { symbol, data_type, timeframe, start_time, end_time } = job.request;
      say(name, symbol);
      say(what, dataset(data_type, timeframe));
      say(span, range(start_time, end_time));
      say(why, job.reason);
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
      { title: "Symbol" }, { title: "Data" }, { title: "Range", className: "wide-only" }, { title: "Reason", className: "wide-only" }, { title: "State" }, { title: "Progress" },
      { title: "Rows", className: "number wide-only" }, { title: "Rows/s", className: "number wide-only" }, { title: "Rest" },
    ],
    makeRow,
    empty: "No job yet: gaps that an audit finds become jobs.",
  });
  live.on(["jobs", "service"], () => {
    const found = [...live.jobs.values()].sort((a, b) => place(a) - place(b) || newest(a, b));
    table.show(found, (job) => job.job_id);
    const open = live.service.get("service")?.jobs_open;
    say($("jobs-count"), open === null || open === undefined ? "" : `${count(open)} not ended`);
  });
}
