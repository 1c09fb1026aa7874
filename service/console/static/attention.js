// What needs attention, from the supervisor's own diagnosis: it is asked now and then, and soon
// after something has happened to a job.

import { get } from "./api.js";
import { counted, el, FAILED, text } from "./dom.js";

const PAUSE = 15_000, SOON = 1000, OFTEN = 5000; // OFTEN: at most, however much fails
const NARROW = 700; // pixels
const BAD = new Set(["backing_off", "paused"]);
// Where the jobs are that a finding is about.
const WHERE = {
  failing: (name) => `#/history?${new URLSearchParams({ job: name })}`,
  backing_off: (name) => live(name, "backing_off"),
  unhealthy: (name) => live(name, "unhealthy"),
  paused: (name) => live(name, "paused"),
};

export function watchAttention(section, store) {
  let told = "", next = 0, asked = 0, looked = -OFTEN;
  let open = innerWidth > NARROW; // on a small screen, the jobs would be far below

  async function look() {
    clearTimeout(next);
    if (document.hidden) return;
    const question = (asked += 1);
    looked = performance.now();
    try {
      const { findings = [] } = await get("/api/findings");
      if (question === asked) draw(findings.filter((each) => each.status !== "ok"));
    } catch {
      // the connection's state tells of it, and what was found before may still be true
    }
    plan(PAUSE);
  }

  function plan(pause) {
    clearTimeout(next);
    next = setTimeout(look, pause);
  }

  // What is the same stays: somebody may be reading it, or about to press a link.
  function draw(findings) {
    const found = JSON.stringify(findings);
    if (found === told) return;
    told = found;
    section.hidden = findings.length === 0;
    section.classList.toggle("errors", findings.some(({ status }) => status === "error"));
    section.replaceChildren(
      el(
        "details",
        { open, toggle: ({ target }) => (open = target.open) },
        el("summary", {}, el("h2", {}, "Needs attention"), ...counts(findings)),
        el("ul", {}, ...findings.map(finding)),
      ),
    );
  }

  function changed({ detail: job }) {
    const bad = FAILED.has(job.outcome) || BAD.has(job.state) || job.unhealthy;
    if (bad) plan(Math.max(SOON, looked + OFTEN - performance.now()));
  }

  store.addEventListener("job", changed);
  store.addEventListener("connection", ({ detail: open }) => open && look()); // also the first time
}

function live(name, state) {
  return `#/?${new URLSearchParams({ filter: name, state })}`;
}

function counts(findings) {
  const errors = findings.filter(({ status }) => status === "error").length;
  const warnings = findings.length - errors;
  return [
    errors > 0 && el("strong", { class: "bad" }, ` ✕ ${counted(errors, "error")}`),
    warnings > 0 && el("strong", { class: "warn" }, ` ! ${counted(warnings, "warning")}`),
  ];
}

function finding({ check, status, subject, message, help }) {
  const sign = status === "error" ? "✕ " : "! ";
  const where = subject && WHERE[check]?.(subject);
  const about = subject && (where ? el("a", { href: where }, text(subject)) : text(subject));
  return el(
    "li",
    {},
    el("strong", { class: status === "error" ? "bad" : "warn" }, sign, about, about && ": "),
    text(message, 1000),
    help && el("div", { class: "dim" }, ...words(help)),
  );
}

// What is in backquotes is to be typed.
function words(help) {
  return help.split("`").map((part, at) => (at % 2 ? el("code", {}, text(part)) : text(part, 1000)));
}
