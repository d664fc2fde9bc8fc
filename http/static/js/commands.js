// What an operator may order by a button. Each is sent with the token, and its outcome is told in one sentence.

import { command } from "./api.js";
import { $, ask, say, toast } from "./dom.js";

/** Send one; the button waits for the answer and has the focus again afterwards. `told` makes its sentence. */
async function give(button, path, told, body) {
  button.disabled = true;
  try {
    const done = await command(path, body);
    if (done !== null) toast(told(done), done.warning ? "warn" : "good");
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    button.disabled = false;
    button.focus();
  }
}

const heldBy = ({ holder }) => (holder ? ` by ${holder}` : "");

/** Restart, pause or resume an actor. */
export function order(button, actor, action) {
  return give(button, `/system/actors/${encodeURIComponent(actor)}/${action}`, (done) => `${actor}: ${action} accepted${heldBy(done)}, now ${done.state || "under way"}.`);
}

/** Have a symbol's events taken in. */
export function add(button, symbol) {
  return give(button, "/symbols", (done) => `${symbol} is ${done.status}. ${done.warning ?? "Its actor starts now."}`, { symbol });
}

/** Ask for the name of a symbol, and add it. */
export async function askAndAdd(button) {
  $("add-name").value = "";
  const said = await ask($("add-dialog"));
  const symbol = $("add-name").value.trim().toUpperCase();
  if (said === "given" && symbol) await add(button, symbol);
}

/** Have no more of a symbol's events taken in, once that has been confirmed. */
export async function retire(button, symbol) {
  say($("retire-heading"), `Retire ${symbol}?`);
  if ((await ask($("retire-dialog"))) !== "confirmed") return;
  await give(button, `/symbols/${encodeURIComponent(symbol)}/retire`, (done) => `${symbol} is ${done.status}; what is stored of it stays.`);
}

/** Send an event that could not be used on its way once more. */
export function replay(button, eventId) {
  return give(button, `/quarantine/${encodeURIComponent(eventId)}/replay`, (done) => `${eventId} is on its way again${done.sequence === null ? "" : `, as ${done.stream} ${done.sequence}`}.`);
}
