// The symbol and the timeframe that chart, analytics and anomalies are about.

import { $, el } from "./dom.js";

const PERIODS = ["1m", "5m", "15m", "1h", "4h", "1d"];

export class Choice {
  constructor() {
    this.symbol = null;
    this.period = "1m";
    this.listeners = [];
    const select = $("symbol");
    select.addEventListener("change", () => this.set({ symbol: select.value }));
    const radios = PERIODS.map((period) => {
      const input = el("input", { type: "radio", name: "period", value: period, checked: period === this.period });
      input.addEventListener("change", () => this.set({ period }));
      return el("label", {}, input, period);
    });
    $("periods").append(...radios);
  }

  on(listener) {
    this.listeners.push(listener);
  }

  set(change) {
    Object.assign(this, change);
    if (this.symbol) $("symbol").value = this.symbol;
    for (const listener of this.listeners) listener();
  }

  /** The symbols there are; the first one is chosen while none is. */
  offer(symbols) {
    const select = $("symbol");
    if (select.options.length !== symbols.length || symbols.some((symbol, index) => select.options[index].value !== symbol)) {
      select.replaceChildren(...symbols.map((symbol) => el("option", { value: symbol }, symbol)));
      if (this.symbol) select.value = this.symbol;
    }
    if (symbols.length && !symbols.includes(this.symbol)) this.set({ symbol: symbols[0] });
  }
}
