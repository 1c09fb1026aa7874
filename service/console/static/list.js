// The live jobs: filter, order, and a window that draws only the rows that are seen.

import { el, span, state, text } from "./dom.js";

const SPARE = 8; // rows beyond what is seen, for scrolling
const ORDERS = {
  job: (a, b) => compare(a.name, b.name),
  identifier: (a, b) => compare(a.identifier, b.identifier),
  state: (a, b) => compare(a.state, b.state),
  age: (a, b) => compare(b.created ?? "", a.created ?? ""),
  node: (a, b) => compare(a.node ?? "", b.node ?? ""),
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export function liveList(store, launch) {
  const wanted = { words: "", state: "", order: "age", down: false };
  let shown = [];
  const rows = new Map(); // those that are drawn, by launch id
  const inner = el("div", { role: "presentation" });
  const scroller = el("div", { class: "window", role: "rowgroup", tabindex: "-1", scroll: draw, keydown: move }, inner);
  const count = el("p", { class: "dim", role: "status" });
  const words = el("input", { type: "search", placeholder: "job or identifier", input: choose });
  const states = el("select", { change: choose }, el("option", { value: "" }, "all"));
  for (const each of ["starting", "running", "paused", "stopping", "backing_off", "exited"]) {
    states.append(el("option", { value: each }, each.replace("_", " ")));
  }
  const bar = el(
    "div",
    { class: "bar" },
    el("label", {}, "Filter", words),
    el("label", {}, "State", states),
    launch && el("button", { click: launch }, "Launch a job"),
  );
  const head = el(
    "div",
    { class: "row head", role: "row" },
    column("job", "Job"),
    column("identifier", "Identifier", "who"),
    column("state", "State", "state"),
    column("age", "Age", "time"),
    column("node", "Node", "node"),
  );
  const grid = el("div", { class: "list", role: "table", "aria-label": "Live jobs" }, el("div", { role: "rowgroup" }, head), scroller);
  const empty = el("p", { class: "empty" });
  const view = el("div", {}, el("h2", {}, "Live jobs"), bar, count, grid, empty);

  function column(order, title, look = "") {
    const sort = () => {
      wanted.down = wanted.order === order && !wanted.down;
      wanted.order = order;
      refresh();
    };
    return el("div", { role: "columnheader", class: look, "data-order": order }, el("button", { click: sort }, title));
  }

  function choose() {
    wanted.words = words.value.toLowerCase();
    wanted.state = states.value;
    scroller.scrollTop = 0;
    refresh();
  }

  function refresh() {
    const jobs = [...store.jobs.values()].filter(fits).sort(ORDERS[wanted.order]);
    shown = wanted.down ? jobs.reverse() : jobs;
    for (const each of head.children) {
      const is = each.dataset.order === wanted.order;
      each.setAttribute("aria-sort", is ? (wanted.down ? "descending" : "ascending") : "none");
    }
    const all = store.jobs.size;
    count.textContent = shown.length === all ? `${all} jobs` : `${shown.length} of ${all} jobs`;
    grid.hidden = shown.length === 0;
    empty.textContent = shown.length ? "" : why(all);
    grid.setAttribute("aria-rowcount", shown.length + 1);
    draw();
  }

  function why(all) {
    if (!store.complete) return "The jobs are being read …";
    if (all) return "No job fits the filter.";
    return "No job runs. Jobs appear here as soon as the backend launches them; the history has those that have ended.";
  }

  function fits(job) {
    if (wanted.state && job.state !== wanted.state) return false;
    if (!wanted.words) return true;
    return `${job.name}\n${job.identifier}`.toLowerCase().includes(wanted.words);
  }

  // Rows that stay are the same elements: a click or the focus on one is not lost.
  function draw() {
    const height = rowHeight();
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - SPARE);
    const last = Math.min(shown.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / height) + SPARE);
    inner.style.height = `${shown.length * height}px`;
    const seen = shown.slice(first, last);
    const ids = new Set(seen.map((job) => job.launch_id));
    for (const [id, row] of rows) {
      if (!ids.has(id)) {
        row.element.remove();
        rows.delete(id);
      }
    }
    let next = inner.firstChild;
    for (const [index, job] of seen.entries()) {
      const row = rows.get(job.launch_id) ?? newRow(job);
      rows.set(job.launch_id, row);
      place(row, job, first + index, height);
      if (row.element === next) next = next.nextSibling;
      else inner.insertBefore(row.element, next);
    }
  }

  function newRow({ launch_id }) {
    const href = `#/job/${encodeURIComponent(launch_id)}`;
    return { element: el("a", { class: "row", role: "row", href, "data-id": launch_id }), job: null };
  }

  function place(row, job, at, height) {
    row.element.style.top = `${at * height}px`;
    row.element.setAttribute("aria-rowindex", at + 2);
    row.element.dataset.at = at;
    if (row.job !== job) fill(row, job);
    row.age.textContent = job.created ? span(Date.now() - Date.parse(job.created)) : "";
  }

  function fill(row, job) {
    row.job = job;
    row.age = el("span", { role: "cell", class: "time dim" });
    row.element.replaceChildren(
      el("span", { role: "cell" }, text(job.name ?? "")),
      el("span", { role: "cell", class: "who dim" }, text(job.identifier ?? "")),
      el("span", { role: "cell", class: "state" }, state(job)),
      row.age,
      el("span", { role: "cell", class: "node dim" }, job.node ?? ""),
    );
  }

  function rowHeight() {
    return head.getBoundingClientRect().height || 36;
  }

  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = Number(document.activeElement?.dataset.at);
    if (!step || Number.isNaN(at)) return;
    event.preventDefault();
    const next = shown[at + step];
    if (!next) return;
    const height = rowHeight();
    const top = (at + step) * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    draw();
    focusOn(next.launch_id);
  }

  function focusOn(id) {
    inner.querySelector(`[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
  }

  store.addEventListener("jobs", refresh);
  const ages = setInterval(draw, 10_000);
  new ResizeObserver(draw).observe(scroller);
  refresh();
  return {
    view,
    close() {
      store.removeEventListener("jobs", refresh);
      clearInterval(ages);
    },
  };
}
