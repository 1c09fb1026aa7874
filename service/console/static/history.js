// Jobs that have ended: those that failed first, or all by their end.

import { get } from "./api.js";
import { el, FAILED, state, text, time } from "./dom.js";

export function historyPage(store) {
  let token = "";
  const outcome = el("select", { change: again }, el("option", { value: "" }, "failures first"));
  for (const each of ["error", "oom", "ended", "lost", "timed_out", "killed", "success"]) {
    outcome.append(el("option", { value: each }, each.replace("_", " ")));
  }
  const name = el("input", { type: "search", placeholder: "job, * for any", change: again });
  const failed = el("tbody", {}), others = el("tbody", {});
  const note = el("p", { class: "empty", role: "status" });
  const more = el("button", { click: load }, "Older ones");
  const view = el(
    "div",
    {},
    el("h2", {}, "History"),
    el("div", { class: "bar" }, el("label", {}, "Outcome", outcome), el("label", {}, "Job", name)),
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...["Job", "Identifier", "Outcome", "Ended"].map((each) => el("th", { scope: "col" }, each)))),
      failed,
      others,
    ),
    note,
    more,
  );

  function again() {
    token = "";
    failed.replaceChildren();
    others.replaceChildren();
    load();
  }

  async function load() {
    const fields = { include: "ended", page_size: "200", outcome: outcome.value, name: name.value, page_token: token };
    const asked = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
    try {
      const { jobs = [], next_page_token = "" } = await get("/api/jobs", asked);
      for (const job of jobs) body(job).append(row(job));
      token = next_page_token;
      note.textContent = failed.children.length + others.children.length ? "" : "No job that fits has ended yet.";
    } catch (error) {
      note.textContent = error.message;
    }
    more.hidden = !token;
  }

  const body = (job) => (!outcome.value && FAILED.has(job.outcome) ? failed : others);
  const ended = ({ detail: job }) => {
    if (job.state === "gone" && job.outcome && !outcome.value && !name.value) body(job).prepend(row(job));
  };
  store.addEventListener("job", ended);
  load();
  return { view, close: () => store.removeEventListener("job", ended) };
}

function row(job) {
  const link = el("a", { href: `#/job/${encodeURIComponent(job.launch_id)}` }, text(job.name));
  return el("tr", {}, el("td", {}, link), el("td", {}, text(job.identifier)), el("td", {}, state(job)), el("td", {}, time(job.ended)));
}
