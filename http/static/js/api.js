// Questions to the service and commands to it. The token is asked once and stays in this tab's session.

import { $, say, toast } from "./dom.js";

const KEY = "api-token";

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const detail = typeof body.detail === "string" ? body.detail : `The service answered ${response.status}.`;
  throw new Refused(response.status, detail);
}

/** The JSON at a path; raises Refused, or TypeError while nobody answers. */
export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return answered(await fetch(query ? `${path}?${query}` : path, { headers: { Accept: "application/json" } }));
}

/** Send a command, asking for the token where one is needed; null when the person thinks better of it. */
export async function command(path) {
  let problem = "";
  for (;;) {
    const token = sessionStorage.getItem(KEY) ?? (await askForToken(problem));
    if (token === null) return null;
    const response = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    if (response.status !== 401) {
      if (response.status !== 403) remember(token);
      return answered(response);
    }
    forget();
    problem = "The service did not accept that token.";
  }
}

function remember(token) {
  sessionStorage.setItem(KEY, token);
  $("forget-token").hidden = false;
}

export function forget() {
  sessionStorage.removeItem(KEY);
  $("forget-token").hidden = true;
}

function askForToken(problem) {
  const dialog = $("token-dialog");
  const input = $("token");
  input.value = "";
  say($("token-problem"), problem);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const finish = () => resolve(dialog.returnValue === "given" && input.value ? input.value.trim() : null);
    dialog.addEventListener("close", finish, { once: true });
  });
}

export function prepareToken() {
  const dialog = $("token-dialog");
  $("token-cancel").addEventListener("click", () => dialog.close(""));
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close("given");
  });
  $("forget-token").hidden = sessionStorage.getItem(KEY) === null;
  $("forget-token").addEventListener("click", () => {
    forget();
    toast("The token is forgotten.");
  });
}
