// Questions to the service and commands to it. The token is asked once and stays in this tab's session.

import { $, ask, say, toast } from "./dom.js";

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
export async function command(path, body) {
  let problem = "";
  for (;;) {
    const token = sessionStorage.getItem(KEY) ?? (await askForToken(problem));
    if (token === null) return null;
    const headers = { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) };
    const response = await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) });
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

async function askForToken(problem) {
  const input = $("token");
  input.value = "";
  say($("token-problem"), problem);
  const said = await ask($("token-dialog"));
  return said === "given" && input.value ? input.value.trim() : null;
}

export function prepareToken() {
  $("forget-token").hidden = sessionStorage.getItem(KEY) === null;
  $("forget-token").addEventListener("click", () => {
    forget();
    toast("The token is forgotten.");
  });
}
