// What needs attention, from the supervisor's own diagnosis: it is asked now and then.

import { get } from "./api.js";
import { el, text } from "./dom.js";

const PAUSE = 15_000;

export function watchAttention(section) {
  async function look() {
    try {
      const { findings = [] } = await get("/api/findings");
      draw(findings.filter((each) => each.status !== "ok"));
    } catch {
      section.hidden = true; // the connection's state tells of it
    }
  }

  function draw(findings) {
    section.hidden = findings.length === 0;
    section.replaceChildren(el("h2", {}, "Needs attention"), el("ul", {}, ...findings.map(finding)));
  }

  look();
  setInterval(look, PAUSE);
}

function finding({ status, subject, message, help }) {
  const sign = status === "error" ? "✕ " : "! ";
  return el(
    "li",
    {},
    el("strong", { class: status === "error" ? "bad" : "warn" }, sign, subject ? text(subject) : "", subject ? ": " : ""),
    text(message, 1000),
    " ",
    el("span", { class: "dim" }, text(help ?? "", 1000)),
  );
}
