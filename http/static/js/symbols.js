// Every symbol in a line: how fast it comes in, and what is missing of its last 24 hours.

import { Coverage } from "./coverage.js";
import { $, el, say } from "./dom.js";
import { count, rate } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

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
        coverage.draw(hours, row.symbol);
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

  const coverage = new Coverage(live, show);
  live.on(["rates", "tree"], show);
  choice.on(show);
  $("filter").addEventListener("input", show);
}
