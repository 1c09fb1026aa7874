// Jobs that have ended: the newest failures first, however much has succeeded since, then all.

import { get } from "./api.js";
import { el, FAILED, state, text, time } from "./dom.js";

const PAGE = 200, OF_EACH_FAILURE = 40;
const MOST_NEW = 1000; // that are added to an open page
const FRESH = 2000; // milliseconds

export function historyPage(store, query) {
  let token = "", asked = 0, added = 0, read = performance.now();
  const known = new Set(); // the launch ids of the rows
  const outcome = el("select", { change: again }, el("option", { value: "" }, "failures first"));
  for (const each of ["error", "oom", "ended", "lost", "timed_out", "killed", "success"]) {
    outcome.append(el("option", { value: each }, each.replace("_", " ")));
  }
  const name = el("input", { type: "search", placeholder: "job, * for any", autocapitalize: "off", change: again });
  outcome.value = query.get("outcome") ?? "";
  if (outcome.selectedIndex < 0) outcome.value = "";
  name.value = query.get("job") ?? "";
  const failed = el("tbody", { role: "rowgroup" }), others = el("tbody", { role: "rowgroup" });
  const note = el("p", { class: "empty", role: "status" });
  const more = el("button", { click: load, hidden: true }, "Older ones");
  const head = ["Job", "Identifier", "Outcome", "Ended"].map((each) => el("th", { scope: "col", role: "columnheader" }, each));
  const view = el(
    "div",
    {},
    el("h2", {}, "History"),
    el("div", { class: "bar" }, el("label", {}, "Outcome", outcome), el("label", {}, "Job", name)),
    el(
      "table",
      { role: "table", class: "ended" }, // the roles stay where a narrow screen has no columns
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
      failed,
      others,
    ),
    note,
    more,
  );

  function again() {
    token = "";
    added = 0;
    const fields = given({ outcome: outcome.value, job: name.value });
    history.replaceState(null, "", fields.size ? `#/history?${fields}` : "#/history");
    load();
  }

  // Answers come in any order: only that to the last question counts.
  async function load() {
    const question = (asked += 1);
    const from = token;
    const fields = { include: "ended", page_size: PAGE, outcome: outcome.value, name: name.value, page_token: from };
    const first = from || outcome.value ? [] : [...FAILED].map((each) => ({ ...fields, outcome: each, page_size: OF_EACH_FAILURE }));
    note.textContent = "Reading …";
    more.disabled = true;
    try {
      const [page, ...failures] = await Promise.all([fields, ...first].map((each) => get("/api/jobs", given(each))));
      if (question !== asked) return;
      if (!from) clear();
      const found = failures.flatMap(({ jobs = [] }) => jobs).sort((a, b) => (a.ended < b.ended ? 1 : -1));
      for (const job of [...found, ...(page.jobs ?? [])]) add(job, "append");
      token = page.next_page_token ?? "";
      read = performance.now();
      note.textContent = failed.children.length + others.children.length ? "" : "No job that fits has ended yet.";
      more.hidden = !token;
    } catch (error) {
      if (question !== asked) return;
      note.textContent = error.message;
      more.hidden = false;
    }
    more.disabled = false;
  }

  function add(job, where) {
    if (known.has(job.launch_id)) return;
    known.add(job.launch_id);
    (!outcome.value && FAILED.has(job.outcome) ? failed : others)[where](row(job));
  }

  function clear() {
    known.clear();
    failed.replaceChildren();
    others.replaceChildren();
  }

  function ended({ detail: job }) {
    if (job.state !== "gone" || !job.outcome || outcome.value || name.value) return;
    if ((added += 1) > MOST_NEW) return again();
    add(job, "prepend");
    note.textContent = "";
  }

  // Jobs may have ended since it was read, unless the page has just been opened.
  function missed() {
    if (performance.now() - read > FRESH) again();
  }

  store.addEventListener("job", ended);
  store.addEventListener("snapshot", missed);
  load();
  return {
    view,
    close() {
      asked += 1;
      store.removeEventListener("job", ended);
      store.removeEventListener("snapshot", missed);
    },
  };
}

function given(fields) {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value));
}

function row(job) {
  const link = el("a", { href: `#/job/${encodeURIComponent(job.launch_id)}` }, text(job.name));
  const cells = [link, text(job.identifier), state(job), time(job.ended)];
  return el("tr", { role: "row" }, ...cells.map((each) => el("td", { role: "cell" }, each)));
}
