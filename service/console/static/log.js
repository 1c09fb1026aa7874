// The log of a job: its last lines, and what follows, while somebody looks.

import { lines, Refused } from "./api.js";
import { counted, el, now, output } from "./dom.js";

// What is read at first, what of it is kept at most, and what is drawn without a pause.
const FIRST = 1000, MOST_LINES = 5000, MOST_CHARACTERS = 1_000_000;
const AT_ONCE = 250, CHARACTERS_AT_ONCE = 100_000;
// Between two drawings, while lines are read, and before the log is read again (milliseconds).
const PAUSE = 50, BUSY = 10, AGAIN = 2000;
const PASSING = new Set([0, 429, 500, 503, 504]); // what is worth another try
const NEAR = 40; // so many pixels above the end still are the end

export function logOf(job, store) {
  const live = job.state !== "gone";
  const shown = el("pre", { tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log", class: "log", scroll: scrolled });
  const note = el("p", { class: "dim", role: "status" });
  const toEnd = el("button", { click: goOn, hidden: true }, "To the end");
  const opened = now();
  const waiting = new Lines(); // read, and not drawn yet
  const drawn = new Lines();
  let state = "Reading …", following = true, ended = false, cut = false, gap = false, lost = false;
  let received = 0, last = "", same = 0; // the time of the newest line, and how many have it
  let stop = new AbortController(), planned = 0, again = 0;

  async function read() {
    clearTimeout(again);
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    try {
      await take(signal);
      end(received ? "The log has ended." : "The log is empty.");
    } catch (error) {
      if (signal.aborted || error instanceof Refused) return;
      if (!live || !PASSING.has(error.status)) return end(error.message);
      state = `${error.message}: it is tried again.`;
      again = setTimeout(read, AGAIN);
    }
    tell();
  }

  // Read until there is no more; not what an earlier reading has given.
  async function take(signal) {
    const asked = { launch_id: job.launch_id, follow: String(live), timestamps: "true", tail: String(last ? MOST_LINES : FIRST) };
    const before = last;
    let known = same, began = performance.now();
    if (before) asked.since = before;
    state = live ? "Following." : "";
    tell();
    for await (const part of lines(asked, signal)) {
      for (const line of part) {
        if (before && line.time === before && known-- > 0) continue;
        add(line);
      }
      plan();
      if (performance.now() - began < BUSY) continue;
      await new Promise((go) => setTimeout(go));
      began = performance.now();
    }
  }

  function add(line) {
    received += 1;
    if (line.time) {
      same = line.time === last ? same + 1 : 1;
      last = line.time;
      cut ||= received === FIRST && Date.parse(line.time) < opened;
    }
    waiting.add(line);
    if (waiting.isLong(2)) leaveOut();
  }

  // What is drawn is older than what is left out here: it goes as soon as nobody reads it.
  function leaveOut() {
    waiting.dropTo(1);
    cut = gap = true;
  }

  function plan() {
    planned ||= setTimeout(draw, PAUSE);
  }

  function draw() {
    planned = 0;
    if (following) {
      if (waiting.isLong(1)) leaveOut();
      if (gap) forget(drawn.clear());
      gap = false;
      shown.append(...waiting.take().map(element));
      const old = drawn.dropTo(1);
      cut ||= old > 0;
      forget(old);
      shown.scrollTop = shown.scrollHeight;
      if (waiting.length) plan();
    }
    tell();
  }

  function element(line) {
    drawn.add(line);
    return el("div", { class: line.stream || "stdout", title: line.time ?? false }, ...output(line.text ?? ""));
  }

  function forget(number) {
    for (let left = number; left > 0; left -= 1) shown.firstElementChild.remove();
  }

  // Who has scrolled up reads, and is not disturbed by what comes.
  function scrolled() {
    const was = following;
    following = shown.scrollTop + shown.clientHeight > shown.scrollHeight - NEAR;
    if (following && !was) plan();
    if (following !== was) tell();
  }

  function goOn() {
    following = true;
    draw();
    shown.focus();
  }

  function end(text) {
    ended = true;
    state = text;
    tell();
  }

  function tell() {
    const held = following || !waiting.length ? state : `${counted(waiting.length, "newer line")} at the end.`;
    const older = cut ? "Earlier lines are left out here: area-supervisor logs has them all." : "";
    note.textContent = `${held} ${older}`;
    toEnd.hidden = following;
  }

  function connection({ detail: open }) {
    if (open && lost && !ended) read();
    lost = !open;
  }

  function hide() {
    if (!document.hidden) return; // the store comes back first
    lost = true;
    stop.abort();
    clearTimeout(again);
  }

  store.addEventListener("connection", connection);
  document.addEventListener("visibilitychange", hide);
  if (document.hidden) lost = true;
  else read();
  return {
    view: el("div", {}, el("div", { class: "bar" }, note, toEnd), shown),
    close() {
      stop.abort();
      clearTimeout(again);
      clearTimeout(planned);
      store.removeEventListener("connection", connection);
      document.removeEventListener("visibilitychange", hide);
    },
  };
}

// Lines, and how long they are together.
class Lines {
  #lines = [];
  #size = 0;

  get length() {
    return this.#lines.length;
  }

  add(line) {
    this.#lines.push(line);
    this.#size += sizeOf(line);
  }

  isLong(times) {
    return this.#lines.length > times * MOST_LINES || this.#size > times * MOST_CHARACTERS;
  }

  // Drop the oldest ones, so that it is not long; how many.
  dropTo(times) {
    let number = 0;
    while (this.#lines.length - number > times * MOST_LINES || this.#size > times * MOST_CHARACTERS) {
      this.#size -= sizeOf(this.#lines[number]);
      number += 1;
    }
    this.#lines.splice(0, number);
    return number;
  }

  // The oldest ones that may be drawn at once.
  take() {
    let number = 0, characters = 0;
    while (number < Math.min(AT_ONCE, this.#lines.length) && characters < CHARACTERS_AT_ONCE) {
      characters += sizeOf(this.#lines[number]);
      number += 1;
    }
    this.#size -= characters;
    return this.#lines.splice(0, number);
  }

  clear() {
    const number = this.#lines.length;
    this.#lines = [];
    this.#size = 0;
    return number;
  }
}

function sizeOf({ text }) {
  return 1 + (text?.length ?? 0);
}
