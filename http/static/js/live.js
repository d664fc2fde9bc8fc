// What /system/events tells, as maps that are always of now, and whoever wants to hear of changes.

const PARTS = {
  tree: (value) => value.name,
  fleet: (value) => value.replica,
  incidents: (value) => value.incident_id,
  rates: (value) => value.symbol,
  gaps: (value) => value.gap_id,
  jobs: (value) => value.job_id,
  service: () => "service",
};
const AGAIN_MS = 5000; // after a refusal; the browser itself only repeats what broke off

export class Live {
  constructor() {
    this.connected = false;
    this.listeners = [];
    this.due = new Set();
    for (const part of Object.keys(PARTS)) this[part] = new Map();
  }

  /** Call `listener` after changes of any of the parts, once a frame at most; "connection" is a part, too. */
  on(parts, listener) {
    this.listeners.push({ parts, listener });
  }

  open() {
    const source = new EventSource("/system/events");
    source.addEventListener("snapshot", (event) => this.#snapshot(JSON.parse(event.data)));
    for (const part of Object.keys(PARTS)) {
      source.addEventListener(part, (event) => this.#change(part, JSON.parse(event.data)));
    }
    source.onopen = () => this.#connection(true);
    source.onerror = () => {
      this.#connection(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.open(), AGAIN_MS);
    };
  }

  #snapshot(state) {
    for (const [part, key] of Object.entries(PARTS)) {
      this[part] = new Map((state[part] ?? []).map((value) => [key(value), value]));
      this.#announce(part);
    }
  }

  #change(part, { changed, removed }) {
    for (const name of removed) this[part].delete(name);
    for (const value of changed) this[part].set(PARTS[part](value), value);
    this.#announce(part);
  }

  #connection(connected) {
    this.connected = connected;
    this.#announce("connection");
  }

  #announce(part) {
    if (this.due.size === 0) setTimeout(() => this.#deliver(), 50);
    this.due.add(part);
  }

  #deliver() {
    const due = this.due;
    this.due = new Set();
    for (const { parts, listener } of this.listeners) if (parts.some((part) => due.has(part))) listener();
  }
}
