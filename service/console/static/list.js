// The live jobs: filter, order, and a window that draws only the rows that are seen.

import { counted, el, now, span, state, stateOf, STATES, text } from "./dom.js";

const SPARE = 8; // rows beyond what is seen, for scrolling
const TYPED = 300; // after the last key, before the address has the filter (milliseconds)
const ORDERS = {
  job: (a, b) => compare(a.name, b.name),
  identifier: (a, b) => compare(a.identifier, b.identifier),
  state: (a, b) => compare(stateOf(a), stateOf(b)),
  age: (a, b) => compare(b.created ?? "", a.created ?? ""),
  node: (a, b) => compare(a.node ?? "", b.node ?? ""),
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// Where the list was left: who comes back from a job goes on there.
let left = { top: 0, id: "" };

// The filter and the order are in the address, so that they can be kept and sent.
export function liveList(store, launch, query) {
  const sort = query.get("sort") ?? "";
  const wanted = {
    words: (query.get("filter") ?? "").toLowerCase(),
    state: query.get("state") ?? "",
    order: ORDERS[sort.replace("-", "")] ? sort.replace("-", "") : "age",
    down: sort.startsWith("-"),
  };
  let shown = [], current = left.id, typed = 0;
  const rows = new Map(); // those that are drawn, by launch id
  const inner = el("div", { role: "presentation" });
  const scroller = el("div", { class: "window", role: "rowgroup", tabindex: "-1", scroll: draw, keydown: move }, inner);
  const count = el("p", { class: "dim", role: "status" });
  const words = el("input", { type: "search", placeholder: "job or identifier", input: choose });
  const states = el("select", { change: choose }, el("option", { value: "" }, "all"));
  for (const each of STATES) states.append(el("option", { value: each }, each.replace("_", " ")));
  words.value = query.get("filter") ?? "";
  states.value = STATES.includes(wanted.state) ? wanted.state : "";
  wanted.state = states.value;
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
      remember();
    };
    return el("div", { role: "columnheader", class: look, "data-order": order }, el("button", { click: sort }, title));
  }

  function choose() {
    wanted.words = words.value.toLowerCase();
    wanted.state = states.value;
    scroller.scrollTop = 0;
    refresh();
    remember();
  }

  // After a while: browsers refuse an address that changes too often.
  function remember() {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const fields = { filter: words.value, state: wanted.state, sort: (wanted.down ? "-" : "") + wanted.order };
      if (fields.sort === "age") fields.sort = "";
      const kept = new URLSearchParams(Object.entries(fields).filter(([, value]) => value));
      history.replaceState(null, "", kept.size ? `#/?${kept}` : "#/");
    }, TYPED);
  }

  function refresh() {
    const jobs = [...store.jobs.values()].filter(fits).sort(ORDERS[wanted.order]);
    shown = wanted.down ? jobs.reverse() : jobs;
    for (const each of head.children) {
      const is = each.dataset.order === wanted.order;
      each.setAttribute("aria-sort", is ? (wanted.down ? "descending" : "ascending") : "none");
    }
    const all = store.jobs.size;
    const number = `${counted(all, "job")}${store.complete ? "" : " so far"}`;
    count.textContent = shown.length === all ? number : `${shown.length} of ${number}`;
    count.hidden = !all;
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
    if (wanted.state && stateOf(job) !== wanted.state) return false;
    if (!wanted.words) return true;
    return `${job.name}\n${job.identifier}`.toLowerCase().includes(wanted.words);
  }

  // Rows that stay are the same elements: a click on one is not lost.
  function draw() {
    const focused = inner.contains(document.activeElement) ? document.activeElement.dataset : null;
    const before = focused && { id: focused.id, at: Number(focused.at) };
    drawRows();
    if (before && !inner.contains(document.activeElement)) refocus(before);
  }

  function drawRows() {
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
    const stop = ids.has(current) ? current : seen[Math.min(SPARE, first)]?.launch_id;
    let next = inner.firstChild;
    for (const [index, job] of seen.entries()) {
      const row = rows.get(job.launch_id) ?? newRow(job);
      rows.set(job.launch_id, row);
      place(row, job, first + index, height);
      row.element.tabIndex = job.launch_id === stop ? 0 : -1; // Tab comes to one row only
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
    row.age.textContent = job.created ? span(now() - Date.parse(job.created)) : "";
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
    const page = Math.max(1, Math.floor(scroller.clientHeight / rowHeight()) - 1);
    const at = shown.findIndex((job) => job.launch_id === current);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -shown.length, End: shown.length };
    const step = steps[event.key];
    if (!step || at < 0) return;
    event.preventDefault();
    goTo(at + step);
  }

  function goTo(at) {
    const next = Math.max(0, Math.min(shown.length - 1, at));
    if (!shown[next]) return;
    current = shown[next].launch_id;
    const height = rowHeight();
    const top = next * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    draw();
    focusOn(current);
  }

  // The focused row has been moved, scrolled away, or its job has ended.
  function refocus({ id, at }) {
    if (rows.has(id)) focusOn(id);
    else if (shown.some((job) => job.launch_id === id)) scroller.focus({ preventScroll: true });
    else goTo(at);
  }

  function focusOn(id) {
    rows.get(id)?.element.focus({ preventScroll: true });
  }

  inner.addEventListener("focusin", ({ target }) => (current = target.dataset.id));
  store.addEventListener("jobs", refresh);
  const ages = setInterval(draw, 10_000);
  new ResizeObserver(draw).observe(scroller);
  refresh();
  return {
    view,
    // Once it is on the page: where it was left, and whether there was something to return to.
    focus() {
      const known = shown.some((job) => job.launch_id === left.id);
      scroller.scrollTop = left.top;
      draw();
      if (known) focusOn(left.id);
      return known && rows.has(left.id);
    },
    close() {
      left = { top: scroller.scrollTop, id: current };
      store.removeEventListener("jobs", refresh);
      clearTimeout(typed);
      clearInterval(ages);
    },
  };
}
