// Puts the panels together.

import { get, prepareToken } from "./api.js";
import { chart } from "./chart.js";
import { Choice } from "./choice.js";
import { $, say, tone } from "./dom.js";
import { clock } from "./format.js";
import { insights } from "./insights.js";
import { jobs } from "./jobs.js";
import { Live } from "./live.js";
import { quarantine } from "./quarantine.js";
import { replicas } from "./replicas.js";
import { ingested, symbols } from "./symbols.js";
import { tiles } from "./tiles.js";
import { tree } from "./tree.js";

const HEALTH_MS = 10_000;

function header(live) {
  const pill = $("connection");
  live.on(["connection", "service"], () => {
    const service = live.service.get("service");
    tone(pill, live.connected ? "good" : "bad");
    say(pill.querySelector(".text"), live.connected ? "live" : "reconnecting");
    const delivery = $("delivery");
    delivery.hidden = !service?.delivery;
    say(delivery, service?.delivery === "core" ? "at most once (core NATS)" : "at least once (JetStream)");
    tone(delivery, service?.delivery === "core" ? "warn" : "quiet");
    say($("version"), service?.version ?? "");
    trouble(live, service);
  });
  setInterval(() => say($("clock"), clock(Date.now())), 1000);
}

function trouble(live, service) {
  const found = [];
  if (service?.draining) found.push("The service is shutting down.");
  if (service && !service.supervisor_answers) found.push("The supervisor does not report: the tree below is old.");
  if (service && !service.catalog_answers) found.push("The catalog does not answer: gaps and jobs below are old.");
  const box = $("trouble");
  box.hidden = found.length === 0;
  say(box, found.join(" "));
}

function themes() {
  const root = document.documentElement;
  const button = $("theme");
  const show = () => {
    const light = root.dataset.theme === "light";
    say(button, light ? "Dark" : "Light");
    button.setAttribute("aria-label", `Use the ${light ? "dark" : "light"} theme`);
    document.dispatchEvent(new Event("themechange"));
  };
  button.removeAttribute("aria-pressed");
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("theme", root.dataset.theme);
    show();
  });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", (event) => {
    if (localStorage.getItem("theme") === null) root.dataset.theme = event.matches ? "light" : "dark";
    show();
  });
  show();
}

function health(whenKnown) {
  let newest = null;
  const ask = async () => {
    newest = document.hidden ? newest : await get("/health/summary").catch(() => null);
    whenKnown();
  };
  setInterval(ask, HEALTH_MS);
  ask();
  return () => newest;
}

const live = new Live();
const choice = new Choice();
prepareToken();
themes();
header(live);
let showTiles = () => {};
const summary = health(() => showTiles());
showTiles = tiles(live, summary);
symbols(live, choice);
tree(live);
replicas(live);
chart(live, choice);
jobs(live);
insights(choice);
quarantine(live);
live.on(["tree"], () => choice.offer(ingested(live).map((actor) => actor.symbol)));
live.open();
