// Elements, and texts of jobs in them. Nothing here makes markup of a text.

// An element with attributes (functions are listeners) and children.
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

// Controls, what has no width, and what turns the direction of a text around.
const ODD = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]/u;
const LONGEST = 120;

// A text from outside, by itself whatever its direction, with what cannot be seen shown as codes.
export function text(value, most = LONGEST) {
  const characters = value.length <= most ? null : [...value];
  if (!characters || characters.length <= most) return el("bdi", {}, ...parts(value));
  return el("bdi", { title: plainly(value) }, ...parts(characters.slice(0, most).join("")), "…");
}

// A line of output, or several. What steers a terminal is left out, and a line that it would have
// written over is a line of its own.
export function output(value) {
  const lines = value.replace(STEERING, "").replace(/\r+(?=\n|$)/g, "").replace(/\r+/g, "\n");
  return parts(lines, ODD_IN_LINES);
}

const STEERING = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;
const ODD_IN_LINES = new RegExp(`(?![\\t\\n])${ODD.source}`, "u");

function parts(value, odd = ODD) {
  if (!odd.test(value)) return [value];
  const found = [];
  let run = "";
  for (const each of value) {
    if (!odd.test(each)) {
      run += each;
      continue;
    }
    found.push(run, el("span", { class: "odd" }, code(each)));
    run = "";
  }
  return [...found, run];
}

function plainly(value) {
  return [...value].map((each) => (ODD.test(each) ? code(each) : each)).join("");
}

function code(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

// What a state or an outcome looks like: a sign, so that nobody depends on its colour.
const LOOKS = {
  starting: ["◌", "busy"],
  pulling: ["⇣", "busy"],
  running: ["▶", "good"],
  paused: ["‖", "warn"],
  stopping: ["▽", "busy"],
  backing_off: ["↻", "warn"],
  exited: ["□", "dim"],
  gone: ["■", "dim"],
  success: ["✓", "good"],
  killed: ["■", "dim"],
  ended: ["✕", "bad"],
  error: ["✕", "bad"],
  oom: ["✕", "bad"],
  lost: ["?", "bad"],
  timed_out: ["⧖", "bad"],
};

export const STATES = ["starting", "pulling", "running", "unhealthy", "paused", "stopping", "backing_off", "exited"];

export function stateOf(job) {
  if (job.state === "starting" && job.pulling) return "pulling";
  return job.outcome || (job.unhealthy ? "unhealthy" : job.state);
}

export function state(job) {
  const name = stateOf(job);
  const [sign, look] = LOOKS[name] ?? ["!", "bad"];
  const sign_ = el("span", { "aria-hidden": "true" }, `${sign} `);
  return el("span", { class: `state ${look}` }, sign_, name.replace("_", " "));
}

export const FAILED = new Set(["ended", "error", "oom", "lost", "timed_out"]);

export function counted(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

// The supervisor's time, as far as its answers tell it: the clock of this machine may be wrong.
let ahead = 0;
const EXACT = 5000; // an answer may have been on its way for so long (milliseconds)

export function learnTime(told) {
  const difference = Date.parse(told) - Date.now();
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) < EXACT ? 0 : difference;
}

export const now = () => Date.now() + ahead;

// How long ago, or how long: 5 s, 3 min, 2 h, 4 d.
export function span(milliseconds) {
  const seconds = Math.max(0, milliseconds / 1000);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// The same, with tenths of the first seconds.
export function short(milliseconds) {
  return milliseconds < 10_000 ? `${Math.max(0, milliseconds / 1000).toFixed(1)} s` : span(milliseconds);
}

export function time(value) {
  if (!value) return "";
  const date = new Date(value);
  return el("time", { datetime: value, title: value }, date.toLocaleString());
}
