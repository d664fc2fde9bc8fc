// A table of any length of which only the rows in sight exist. Rows are kept by key and changed in place, so that
// focus, selection and a screen reader's place survive every update.

import { el } from "./dom.js";

const MARGIN = 6; // rows above and below what is in sight

export class WindowedTable {
  /**
   * `columns` are {title, className}; a title may be an element. `makeRow(item)` gives {cells, update(item)}:
   * the first cell names the row.
   */
  constructor(host, { caption, columns, makeRow, empty }) {
    this.host = host;
    this.makeRow = makeRow;
    this.items = [];
    this.keys = [];
    this.rows = new Map();
    this.above = this.#spacer(columns.length);
    this.below = this.#spacer(columns.length);
    this.body = el("tbody", {}, this.above, this.below);
    const head = columns.map(({ title, className = "" }) => el("th", { scope: "col", className }, title));
    this.table = el("table", {}, el("caption", { className: "visually-hidden" }, caption), el("thead", {}, el("tr", {}, ...head)), this.body);
    this.none = el("p", { className: "empty", hidden: true }, empty);
    host.replaceChildren(this.table, this.none);
    host.addEventListener("scroll", () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#draw()).observe(host);
  }

  /** Show these, in this order. */
  show(items, key, empty) {
    this.items = items;
    this.keys = items.map(key);
    this.table.hidden = items.length === 0;
    this.none.hidden = items.length > 0;
    if (empty) this.none.textContent = empty;
    this.table.setAttribute("aria-rowcount", items.length + 1);
    this.#draw();
  }

  #spacer(columns) {
    return el("tr", { className: "gap-row", "aria-hidden": "true", hidden: true }, el("td", { colspan: columns }));
  }

  #draw() {
    const rowPx = parseFloat(getComputedStyle(this.host).getPropertyValue("--row"));
    const first = Math.max(0, Math.floor(this.host.scrollTop / rowPx) - MARGIN);
    const last = Math.min(this.items.length, first + Math.ceil(this.host.clientHeight / rowPx) + 2 * MARGIN);
    this.#stretch(this.above, first * rowPx);
    this.#stretch(this.below, (this.items.length - last) * rowPx);
    const wanted = new Set(this.keys.slice(first, last));
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.node.remove();
        this.rows.delete(key);
      }
    }
    let place = this.above.nextSibling;
    for (let index = first; index < last; index++) {
      const row = this.#row(this.keys[index], this.items[index]);
      if (row.node !== place) this.body.insertBefore(row.node, place);
      else place = place.nextSibling;
      row.node.setAttribute("aria-rowindex", index + 2);
      row.update(this.items[index], row.node);
    }
  }

  #row(key, item) {
    let row = this.rows.get(key);
    if (row === undefined) {
      const { cells, update } = this.makeRow(item);
      row = { node: el("tr", {}, ...cells), update };
      this.rows.set(key, row);
    }
    return row;
  }

  #stretch(spacer, px) {
    spacer.hidden = px === 0;
    spacer.style.height = `${px}px`;
  }
}

export const head = (...children) => el("th", { scope: "row" }, ...children);
export const cell = (className = "", ...children) => el("td", { className }, ...children);
