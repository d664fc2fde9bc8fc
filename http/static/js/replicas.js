// The replicas that are one service, and what each of them holds; nothing where there is only one.

import { $, badge, el } from "./dom.js";
import { count, moment, plural } from "./format.js";
import { cell, head } from "./table.js";

const PREFIX = "ingest/";

/** Its leases in words: how many symbols, and the others by name. */
function held(leases) {
  const symbols = leases.filter((name) => name.startsWith(PREFIX)).length;
  const others = leases.filter((name) => !name.startsWith(PREFIX));
  return [...(symbols ? [plural(symbols, "symbol")] : []), ...others].join(", ") || "nothing";
}

function row({ replica, me, host, pid, version, started_at, leases }) {
  const holds = cell("holds", held(leases));
  holds.title = leases.join(", ");
  return el("tr", {}, head(replica, ...(me ? [" ", badge("this one", "info")] : [])), cell("wide-only", host), cell("number wide-only", String(pid)), cell("wide-only", version), cell("wide-only", moment(started_at)), holds);
}

export function replicas(live) {
  const columns = [["Replica", ""], ["Host", "wide-only"], ["PID", "number wide-only"], ["Version", "wide-only"], ["Since", "wide-only"], ["Holds", ""]];
  live.on(["fleet"], () => {
    const found = [...live.fleet.values()];
    const host = $("replicas");
    host.hidden = found.length < 2;
    host.replaceChildren(
      el(
        "table", {}, el("caption", { className: "visually-hidden" }, `${count(found.length)} replicas and what each of them holds`),
        el("thead", {}, el("tr", {}, ...columns.map(([title, className]) => el("th", { scope: "col", className }, title)))),
        el("tbody", {}, ...found.map(row)),
      ),
    );
  });
}
