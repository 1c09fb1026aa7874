// Requests of the page. An error is thrown with the text that the supervisor gives.

import { learnTime } from "./dom.js";

const PATIENCE = 30_000; // for what only looks (milliseconds)
const AGAIN = 500; // before it is asked once more: a change of its network has a browser drop requests

export class Refused extends Error {}

export class Failed extends Error {
  constructor(text, status) {
    super(text);
    this.status = status; // 0: not reached
  }
}

let refused = () => {};

// Call a function whenever the client has to log in (again).
export function whenRefused(act) {
  refused = act;
}

export async function get(path, fields = {}) {
  const signal = AbortSignal.timeout(PATIENCE);
  const ask = () => reach(`${path}?${new URLSearchParams(fields)}`, { signal });
  const later = () => new Promise((done) => setTimeout(done, AGAIN));
  return answered(await ask().catch(() => later().then(ask)));
}

export async function post(path, fields) {
  const body = JSON.stringify(fields);
  return answered(
    await reach(path, { method: "POST", body, headers: { "Content-Type": "application/json" } }),
  );
}

async function reach(path, options = {}) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Failed("the supervisor cannot be reached", 0);
  }
}

async function answered(response) {
  learnTime(response.headers.get("date"));
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw failure(response.status, value.error);
  return value;
}

function failure(status, text = `the supervisor answers ${status}`) {
  if (status !== 401) return new Failed(text, status);
  refused();
  return new Refused(text);
}

// The lines of a log, in parts, until it ends or the signal aborts.
export async function* lines(fields, signal) {
  const response = await reach(`/api/logs?${new URLSearchParams(fields)}`, { signal });
  if (!response.ok) await answered(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new Failed("the connection is lost", 0);
    });
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    const found = parts.filter(Boolean).map((part) => JSON.parse(part));
    const last = found.at(-1);
    yield last?.error ? found.slice(0, -1) : found;
    if (last?.error) throw failure(last.status, last.error);
  }
}

// Errors of these scripts go to the supervisor's log: a few of each page.
let left = 5;
export function reportErrors() {
  const report = (text, where) => {
    if (left-- > 0) post("/api/errors", { text: String(text), where: String(where) }).catch(() => {});
  };
  addEventListener("error", (event) => report(event.message, `${event.filename}:${event.lineno}`));
  addEventListener("unhandledrejection", (event) => report(event.reason, "promise"));
}
