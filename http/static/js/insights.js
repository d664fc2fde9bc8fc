// What analytics makes of the chosen symbol, and what stood out.

import { get } from "./api.js";
import { $, badge, el, say } from "./dom.js";
import { DASH, count, figure, moment, percent } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const REFRESH_MS = 30_000;
const ANOMALIES_LIMIT = 200;
const USUAL_PERIOD = "1h"; // analysed wherever anything is; the shown one may not be

const LEVEL_TONES = { low: "quiet", medium: "info", high: "warn", bullish: "good", bearish: "bad", neutral: "quiet" };
const SEVERITY_TONES = { critical: "bad", high: "bad", medium: "warn", low: "quiet", info: "quiet" };

const words = (text) => String(text).replaceAll("_", " ");

const last = (found) => (found?.data ?? []).reduce((newest, row) => (!newest || row.timestamp > newest.timestamp ? row : newest), null);

function regimeBadges(regime) {
  if (!regime?.regime) return [badge("regime not known yet", "quiet")];
  const parts = [["volatility", regime.volatility_level], ["volume", regime.volume_level], ["trend", regime.trend_direction]];
  return [
    badge(words(regime.regime), "info"),
    ...parts.filter(([, level]) => level).map(([name, level]) => badge(`${name} ${level}`, LEVEL_TONES[level] ?? "quiet")),
  ];
}

/** The service's own sentence for a regime that it could not tell; null where there is nothing to explain. */
function why(regime) {
  const reason = regime?.data?.regime ? null : (regime?.metadata?.reasons?.regime ?? regime?.metadata?.message);
  return reason ? el("p", { className: "note why" }, reason) : null;
}

function metric(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

/** What one route has; null while it has nothing or does not answer. */
const known = (path, parameters) => get(path, parameters).catch(() => null);

async function documents(symbol, period) {
  const asked = { pair: symbol, period };
  const [regime, volatility, volume, trend, deviation, spread] = await Promise.all([
    known("/analysis/regime", asked), known("/analysis/volatility", asked), known("/analysis/volume", asked),
    known("/analysis/trend", asked), known("/analysis/deviation", asked), known("/analysis/spread", { pair: symbol }),
  ]);
  return { period, regime, v: last(volatility), w: last(volume), t: last(trend), d: deviation?.data, s: spread?.data };
}

const hasBars = ({ regime, v, w, t, d }) => [regime?.data, v, w, t, d].some(Boolean);

async function analytics(choice) {
  const { symbol, period } = choice;
  let found = await documents(symbol, period);
  if (!hasBars(found) && period !== USUAL_PERIOD) found = await documents(symbol, USUAL_PERIOD);
  if (symbol !== choice.symbol || period !== choice.period) return;
  const { regime, v, w, t, d, s } = found;
  if (!hasBars(found) && !s) {
    say($("analytics-of"), symbol);
    $("analytics").replaceChildren(el("p", { className: "empty" }, `No analytics of ${symbol} yet: they need a history of bars.`));
    return;
  }
  say($("analytics-of"), `${symbol}, bars of ${found.period}`);
  const shown = [
    el("div", { className: "regime" }, ...regimeBadges(regime?.data)),
    why(regime),
    el(
      "dl", { className: "metrics" },
      metric("Volatility a year", v?.annualized == null ? DASH : percent(100 * v.annualized)),
      metric("Volume to its median", w?.volume_spike_ratio == null ? DASH : `${figure(w.volume_spike_ratio, 3)} x`),
      metric("Rate of change", t?.rate_of_change == null ? DASH : percent(t.rate_of_change, 2)),
      metric("Crossover", t?.crossover_signal == null ? DASH : words(t.crossover_signal)),
      metric("z-score", figure(d?.z_score, 3)),
      metric("Spread", s?.spread_percentage == null ? DASH : percent(s.spread_percentage, 4)),
    ),
  ];
  $("analytics").replaceChildren(...shown.filter(Boolean));
}

function anomalyRow() {
  const when = el("span");
  const severity = cell();
  const dataset = cell("wide-only");
  const details = el("span", { className: "clamp" });
  const cells = [head(when), severity, dataset, cell("what", details)];
  return {
    cells,
    update(row) {
      say(when, moment(row.timestamp));
      severity.replaceChildren(badge(row.severity, SEVERITY_TONES[row.severity] ?? "quiet"));
      say(dataset, row.dataset_id);
      say(details, explained(row.details));
      details.title = row.details;
    },
  };
}

/** The sentence of an audit log's details, which may be JSON. */
function explained(details) {
  try {
    const given = JSON.parse(details);
    return given.reason ?? given.message ?? given.detail ?? details;
  } catch {
    return details;
  }
}

async function anomalies(choice, table) {
  const { symbol } = choice;
  const [summary, found] = await Promise.all([known("/anomalies/summary"), known("/anomalies", { pair: symbol, limit: ANOMALIES_LIMIT, dialect: "head" })]);
  if (symbol !== choice.symbol) return;
  const total = summary ? `${count(summary.total_anomalies)} in all` : "";
  say($("anomalies-count"), [found ? `${count(found.total_count)} of ${symbol}` : "", total].filter(Boolean).join(", "));
  table.show(found?.data ?? [], (row) => row.audit_id, found ? `Nothing out of the ordinary is known of ${symbol}.` : "The catalog does not answer now.");
}

export function insights(choice) {
  const table = new WindowedTable($("anomalies"), {
    caption: "Anomalies of the chosen symbol, the newest first",
    columns: [{ title: "Found" }, { title: "Severity" }, { title: "Dataset", className: "wide-only" }, { title: "What" }],
    makeRow: anomalyRow,
    empty: "Nothing out of the ordinary is known.",
  });
  const refresh = () => {
    if (!choice.symbol || document.hidden) return;
    analytics(choice);
    anomalies(choice, table);
  };
  choice.on(refresh);
  setInterval(refresh, REFRESH_MS);
}
