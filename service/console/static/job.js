// One job: what is known of it, its life, its last lines and its log.

import { get, lines, post } from "./api.js";
import { el, span, state, svg, text, time } from "./dom.js";
import { ask } from "./dialogs.js";

const MOST_LINES = 5000; // of a log that are kept on the page

export function jobPage(launchId, store, me) {
  const view = el("div", {}, el("p", { class: "dim" }, "Reading …"));
  let log = null;

  async function show() {
    try {
      draw(await get("/api/job", { launch_id: launchId }));
    } catch (error) {
      view.replaceChildren(el("h2", {}, "Job"), el("p", { class: "wrong", role: "alert" }, error.message));
    }
  }

  function draw(job) {
    const live = job.state !== "gone";
    log ??= me.may.logs ? logOf(job, live) : el("p", { class: "dim" }, "Logs are for operators.");
    view.replaceChildren(
      el("h2", {}, text(job.name, 200), " ", text(job.identifier, 1000)),
      el("p", {}, state(job), " ", job.exit_code === undefined ? "" : `exit code ${job.exit_code}`),
      live && me.may.kill ? el("p", {}, el("button", { class: "danger", click: () => kill(job) }, "Kill")) : "",
      life(job),
      facts(job, me),
      ...(job.last_lines ? [el("h3", {}, "Last lines"), el("pre", {}, text(job.last_lines, 100_000))] : []),
      el("h3", {}, "Log"),
      log.view ?? log,
    );
  }

  async function kill(job) {
    if (!(await ask(`Kill ${job.name}?`, "All jobs of this identifier are stopped.", "Kill"))) return;
    try {
      await post("/api/kill", { identifier: job.identifier });
    } catch (error) {
      await ask("The job could not be killed", error.message);
    }
    await show();
  }

  const changed = (event) => event.detail.launch_id === launchId && draw(event.detail);
  store.addEventListener("job", changed);
  show();
  return {
    view,
    close() {
      store.removeEventListener("job", changed);
      log?.close?.();
    },
  };
}

function facts(job, me) {
  const rows = [
    ["Identifier", text(job.identifier, 2000)],
    ["Kind", job.kind],
    ["Created", time(job.created)],
    ["Started", time(job.started)],
    ["Ended", time(job.ended)],
    ["Started again", job.restarts ? `${job.restarts} times` : ""],
    ["Next start", time(job.restart_at)],
    ["Out of memory", job.out_of_memory ? "yes" : ""],
    ["Image", job.image && text(job.image, 500)],
    ["Digest", job.image_digest],
    ["Container", job.container_name && text(job.container_name, 300)],
    ["Container id", job.container_id],
    ["Node", job.node],
    ["Launched by", job.launched_by && who(job.launched_by)],
    ["Killed by", job.killed_by && who(job.killed_by)],
    ["Launch id", job.launch_id],
    ["Trace", job.trace_id && trace(job.trace_id, me.trace_url)],
  ];
  const known = rows.filter(([, value]) => value);
  return el("dl", {}, ...known.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function who({ client, peer, user_agent }) {
  return text([client, peer, user_agent].filter(Boolean).join(", "), 300);
}

function trace(id, template) {
  if (!template) return id;
  return el("a", { href: template.replaceAll("{trace_id}", id), rel: "noreferrer" }, id);
}

// The life of a job as a line in time.
function life(job) {
  const marks = [["created", job.created], ["started", job.started], ["ended", job.ended]]
    .filter(([, at]) => at)
    .map(([name, at]) => [name, Date.parse(at)]);
  if (!marks.length) return "";
  const first = marks[0][1];
  const last = Math.max(job.ended ? Date.parse(job.ended) : Date.now(), first + 1);
  const x = (at) => 10 + (880 * (at - first)) / (last - first);
  const described = marks.map(([name, at]) => `${name} ${new Date(at).toLocaleString()}`).join(", ");
  const started = job.started ? Date.parse(job.started) : last;
  return svg(
    "svg",
    { class: "life", viewBox: "0 0 900 46", role: "img", "aria-label": described },
    svg("line", { class: "axis", x1: 10, x2: 890, y1: 16, y2: 16 }),
    svg("line", { class: "span", x1: x(started), x2: 890, y1: 16, y2: 16 }),
    ...marks.flatMap(([name, at], index) => [
      svg("circle", { class: "mark", cx: x(at), cy: 16, r: 4 }),
      svg("text", { x: Math.min(x(at), 780), y: 34 + 11 * (index % 2), "text-anchor": "start" }, label(name, at, first)),
    ]),
  );
}

function label(name, at, first) {
  return at === first ? name : `${name} +${span(at - first)}`;
}

function logOf(job, live) {
  const stop = new AbortController();
  const output = el("pre", { tabindex: "0", "aria-label": "Log", class: "log" });
  const note = el("p", { class: "dim", role: "status" }, "Reading …");
  let left = 0;

  async function read() {
    const fields = { launch_id: job.launch_id, tail: "1000", follow: String(live) };
    try {
      for await (const part of lines(fields, stop.signal)) take(part);
      note.textContent = output.childElementCount ? "The log has ended." : "The log is empty.";
    } catch (error) {
      if (!stop.signal.aborted) note.textContent = error.message;
    }
  }

  function take(part) {
    const atEnd = output.scrollTop + output.clientHeight > output.scrollHeight - 30;
    const drawn = part.slice(-MOST_LINES).map(line);
    left += part.length - drawn.length;
    output.append(...drawn);
    while (output.childElementCount > MOST_LINES) {
      output.firstElementChild.remove();
      left += 1;
    }
    note.textContent = left ? `${left} earlier lines are left out here.` : live ? "Following." : "";
    if (atEnd) output.scrollTop = output.scrollHeight;
  }

  function line({ stream, text: shown, error }) {
    if (error) return el("div", { class: "wrong" }, error);
    return el("div", { class: stream || "stdout" }, text(shown ?? "", 10_000));
  }

  read();
  return { view: el("div", {}, note, output), close: () => stop.abort() };
}
