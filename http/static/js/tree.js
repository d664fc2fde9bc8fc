// The supervision tree: each actor with what an operator may do to it.

import { command } from "./api.js";
import { $, el, say, toast, tone } from "./dom.js";
import { DASH, count, duration, ms } from "./format.js";
import { WindowedTable, cell, head } from "./table.js";

const TONES = { running: "good", waiting: "warn", starting: "info", stopping: "warn", paused: "quiet", parked: "bad", retired: "quiet", elsewhere: "quiet" };
const SECOND_MS = 1000;

async function order(actor, action, button) {
  button.disabled = true;
  try {
    const done = await command(`/system/actors/${encodeURIComponent(actor)}/${action}`);
    if (done !== null) toast(`${actor}: ${action} accepted, now ${done.state || "under way"}.`, "good");
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    button.disabled = false;
    button.focus();
  }
}

function makeRow({ name }) {
  const state = el("span", { className: "badge" });
  const pid = cell("number wide-only");
  const restarts = cell("number wide-only");
  const up = cell("number wide-only");
  const cause = el("span", { className: "cause" });
  const restart = el("button", { type: "button", "aria-label": `Restart ${name}` }, "Restart");
  const pause = el("button", { type: "button" });
  restart.addEventListener("click", () => order(name, "restart", restart));
  pause.addEventListener("click", () => order(name, pause.dataset.action, pause));
  const branch = el("span", { className: "branch", "aria-hidden": "true" }, "├");
  const cells = [
    head(branch, name), cell("", state), pid, restarts, up, cell("wide-only", cause), cell("", el("div", { className: "actions" }, restart, pause)),
  ];
  return {
    cells,
    update(actor) {
      say(state, actor.state);
      tone(state, TONES[actor.state] ?? "warn");
      state.title = actor.detail;
      say(pid, actor.pid === null ? DASH : String(actor.pid));
      say(restarts, count(actor.restarts));
      say(up, actor.started_at ? duration((Date.now() - ms(actor.started_at)) / SECOND_MS) : DASH);
      const why = actor.last_cause ?? (actor.state === "waiting" && actor.detail ? `waits for ${actor.detail}` : "");
      say(cause, why || DASH);
      cause.title = why;
      const resumes = actor.state === "paused" || actor.state === "parked";
      restart.hidden = pause.hidden = actor.state === "retired"; // it would be refused: the symbol has to be added again
      pause.dataset.action = resumes ? "resume" : "pause";
      say(pause, resumes ? "Resume" : "Pause");
      pause.setAttribute("aria-label", `${pause.textContent} ${name}`);
    },
  };
}

export function tree(live) {
  const table = new WindowedTable($("tree"), {
    caption: "Actors of the supervision tree, in start order",
    columns: [
      { title: "Actor" }, { title: "State" }, { title: "PID", className: "number wide-only" }, { title: "Restarts", className: "number wide-only" },
      { title: "Up", className: "number wide-only" }, { title: "Last cause", className: "wide-only" }, { title: "Actions", className: "number" },
    ],
    makeRow,
    empty: "The supervisor has not reported yet.",
  });
  const show = () => {
    const actors = [...live.tree.values()];
    table.show(actors, (actor) => actor.name);
    const running = actors.filter((actor) => actor.state === "running").length;
    say($("tree-count"), actors.length ? `${count(running)} of ${count(actors.length)} running` : "");
  };
  live.on(["tree"], show);
  setInterval(show, 10 * SECOND_MS); // how long each has been up
}
