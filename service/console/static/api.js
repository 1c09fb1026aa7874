// Requests of the page. An error is thrown with the text that the supervisor gives.

export class Refused extends Error {}

export async function get(path, fields = {}) {
  return answered(await reach(`${path}?${new URLSearchParams(fields)}`));
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
    throw new Error("the supervisor cannot be reached");
  }
}

async function answered(response) {
  const value = await response.json().catch(() => ({}));
  if (response.status === 401) throw new Refused(value.error);
  if (!response.ok) throw new Error(value.error ?? `the supervisor answers ${response.status}`);
  return value;
}

// The lines of a log, in parts, until it ends or the signal aborts.
export async function* lines(fields, signal) {
  const response = await reach(`/api/logs?${new URLSearchParams(fields)}`, { signal });
  if (!response.ok) await answered(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield parts.map((part) => JSON.parse(part));
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
