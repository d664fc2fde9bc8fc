// The supervision tree: main, the supervisor, and each actor with what an operator may do to it.

import { found, lines, rails } from "./branches.js";
import { add, askAndAdd, order, retire } from "./commands.js";
import { $, el, say, tone } from "./dom.js";
import { DASH, count, duration, ms, plural } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const TONES = { running: "good", waiting: "warn", starting: "info", stopping: "warn", paused: "quiet", parked: "bad", silent: "bad", retired: "quiet", elsewhere: "quiet" };
const WELL = new Set(["running", "elsewhere", "retired"]);
const SECOND_MS = 1000;
const INGEST = "ingest";

const folded = new Set(); // kinds of which the members are not shown

function named(label, ...content) {
  const twigs = el("span", { className: "twigs", "aria-hidden": "true" });
  const sub = el("span", { className: "sub" });
  const node = head(el("div", { className: "branch" }, twigs, el("div", {}, ...content, sub)));
  node.setAttribute("aria-label", label);
  return {
    node,
    draw(kinds, below) {
      if (twigs.dataset.is !== kinds.join()) {
        twigs.dataset.is = kinds.join();
        twigs.replaceChildren(...kinds.map((kind) => el("i", { className: kind })));
      }
      say(sub, below);
    },
  };
}

function line(name) {
  const state = el("span", { className: "badge" });
  const [pid, restarts, up] = [cell("number wide-only"), cell("number wide-only"), cell("number roomy-only")];
  const cause = cell("cause wide-only");
  const actions = el("div", { className: "actions" });
  return { name, state, pid, restarts, up, cause, actions, cells: [name.node, cell("", state), pid, restarts, up, cause, cell("", actions)] };
}

function fill(row, { state, tones, pid, restarts, since, why, detail = "" }, kinds) {
  say(row.state, state);
  tone(row.state, tones);
  row.state.title = detail;
  say(row.pid, pid);
  say(row.restarts, restarts);
  say(row.up, since ? duration((Date.now() - ms(since)) / SECOND_MS) : DASH);
  say(row.cause, why || DASH);
  row.cause.title = why;
  row.name.draw(kinds, [why, restarts === DASH ? "" : `restarts ${restarts}`, pid === DASH ? "" : `pid ${pid}`].filter(Boolean).join(", "));
}

function rootRow({ key }) {
  const row = line(named(key, key));
  return {
    cells: row.cells,
    update: ({ root, rails: kinds }) => fill(row, { state: root.state, tones: TONES[root.state], pid: DASH, restarts: DASH, since: root.started_at, why: "" }, kinds),
  };
}

function groupRow({ kind }, show) {
  const fold = el("button", { type: "button", className: "link" });
  fold.addEventListener("click", () => {
    if (!folded.delete(kind)) folded.add(kind);
    show();
  });
  const row = line(named(kind, fold));
  return {
    cells: row.cells,
    update({ members, rails: kinds }) {
      const running = members.filter((actor) => actor.state === "running").length;
      const well = members.every((actor) => WELL.has(actor.state));
      say(fold, `${kind} ${folded.has(kind) ? "▸" : "▾"}`);
      fold.setAttribute("aria-expanded", !folded.has(kind));
      fold.setAttribute("aria-label", kind === INGEST ? `ingest, ${plural(members.length, "symbol")}` : kind);
      const restarts = members.reduce((sum, actor) => sum + actor.restarts, 0);
      fill(row, { state: `${count(running)} of ${count(members.length)}`, tones: well ? "good" : "warn", pid: DASH, restarts: count(restarts), since: null, why: "" }, kinds);
    },
  };
}

const button = (text, act) => {
  const node = el("button", { type: "button" }, text);
  node.addEventListener("click", () => act(node));
  return node;
};

function why({ state, detail, holder, last_cause }) {
  if (state === "elsewhere") return holder ? `in ${holder}` : "in no replica";
  return last_cause ?? (state === "waiting" && detail ? `waits for ${detail}` : "");
}

function actorRow({ actor: { name, symbol }, depth }) {
  const row = line(named(name, depth === 3 ? name.split("/")[1] : name));
  const isIngest = symbol !== null && name === `${INGEST}/${symbol}`;
  const restart = button("Restart", (node) => order(node, name, "restart"));
  const pause = button("Pause", (node) => order(node, name, node.dataset.action));
  const leave = isIngest ? button("Retire", (node) => retire(node, symbol)) : null;
  const back = isIngest ? button("Add again", (node) => add(node, symbol)) : null;
  restart.setAttribute("aria-label", `Restart ${name}`);
  if (back) back.className = "again";
  leave?.setAttribute("aria-label", `Retire ${symbol}`);
  back?.setAttribute("aria-label", `Add again: ${symbol}`);
  row.actions.append(...[restart, pause, leave, back].filter(Boolean));
  return {
    cells: row.cells,
    update({ actor, rails: kinds }) {
      const { state, pid, restarts, started_at, detail } = actor;
      fill(row, { state, tones: TONES[state] ?? "warn", pid: pid === null ? DASH : String(pid), restarts: count(restarts), since: started_at, why: why(actor), detail }, kinds);
      const isRetired = state === "retired"; // it would be refused: the symbol has to be added again
      restart.hidden = pause.hidden = isRetired;
      if (isIngest) [leave.hidden, back.hidden] = [isRetired, !isRetired];
      const resumes = state === "paused" || state === "parked";
      pause.dataset.action = resumes ? "resume" : "pause";
      say(pause, resumes ? "Resume" : "Pause");
      pause.setAttribute("aria-label", `${pause.textContent} ${name}`);
    },
  };
}

export function tree(live) {
  const makeRow = (item) => (item.root ? rootRow(item) : item.members ? groupRow(item, show) : actorRow(item));
  const table = new WindowedTable($("tree"), {
    caption: "Actors of the supervision tree, in start order",
    columns: [
      { title: "Actor" }, { title: "State" }, { title: "PID", className: "number wide-only" }, { title: "Restarts", className: "number wide-only" },
      { title: "Up", className: "number roomy-only" }, { title: "Last cause", className: "wide-only" }, { title: "Actions", className: "number" },
    ],
    makeRow,
    empty: "The supervisor has not reported yet.",
  });
  const filter = $("tree-filter");
  function show() {
    const wanted = filter.value.trim().toLowerCase();
    const actors = [...live.tree.values()];
    const all = () => (actors.length ? lines(actors, live.service.get("service"), live.connected, folded) : []);
    const items = wanted ? found(actors, wanted) : all();
    const drawn = rails(items);
    table.show(items.map((item, index) => ({ ...item, rails: drawn[index] })), ({ key, depth }) => `${depth}${key}`, actors.length ? `No actor has ${wanted} in its name.` : undefined);
    const running = actors.filter((actor) => actor.state === "running").length;
    say($("tree-count"), actors.length ? `${count(running)} of ${count(actors.length)} running` : "");
  }
  filter.addEventListener("input", show);
  $("add-symbol").addEventListener("click", () => askAndAdd($("add-symbol")));
  live.on(["tree", "service", "connection"], show);
  setInterval(show, 10 * SECOND_MS); // how long each has been up
}
