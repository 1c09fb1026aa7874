// One job: what is known of it, its life, and its last lines.

import { get, post } from "./api.js";
import { ask } from "./dialogs.js";
import { counted, el, now, output, short, state, svg, text, time } from "./dom.js";
import { logOf } from "./log.js";

export function jobPage(launchId, store, me) {
  const head = el("div", {}, el("h2", {}, "Job"));
  const wrong = el("p", { class: "wrong", role: "alert" });
  const kill = el("button", { class: "danger", click: killIt }, "Kill");
  const line = el("div"), about = el("div", {}, el("p", { class: "dim" }, "Reading …"));
  const view = el("div", {}, head, wrong, line, about);
  let shown = null, log = null;

  async function show() {
    try {
      draw(await get("/api/job", { launch_id: launchId }));
      wrong.textContent = "";
    } catch (error) {
      wrong.textContent = error.message;
      if (!shown) about.replaceChildren();
    }
  }

  // The log and the button stay the same elements: who reads or is about to press is not disturbed.
  function draw(job) {
    shown = job;
    head.replaceChildren(...title(job));
    line.replaceChildren(life(job));
    about.replaceChildren(...known(job, me));
    if (job.state === "gone" || !me.may.kill) kill.remove();
    else if (!kill.isConnected) head.after(kill);
    if (log) return;
    log = me.may.logs ? logOf(job, store) : { view: el("p", { class: "dim" }, "Logs are for operators.") };
    view.append(el("h3", {}, "Log"), log.view);
  }

  async function killIt() {
    const { name, identifier } = shown;
    const words = ["All jobs of the identifier ", text(identifier, 200), " are stopped."];
    if (!(await ask(["Kill ", text(name), "?"], words, "Kill"))) return;
    try {
      await post("/api/kill", { identifier });
    } catch (error) {
      await ask(["The job could not be killed"], [error.message]);
    }
    await show();
  }

  const changed = ({ detail }) => detail.launch_id === launchId && draw(detail);
  const again = () => (store.jobs.has(launchId) ? draw(store.jobs.get(launchId)) : shown && show());
  const grow = () => shown && shown.state !== "gone" && line.replaceChildren(life(shown));
  store.addEventListener("job", changed);
  store.addEventListener("snapshot", again);
  const ages = setInterval(grow, 10_000);
  show();
  return {
    view,
    close() {
      store.removeEventListener("job", changed);
      store.removeEventListener("snapshot", again);
      clearInterval(ages);
      log?.close?.();
    },
  };
}

function title(job) {
  const code = job.exit_code === undefined ? "" : `exit code ${job.exit_code}`;
  return [
    el("h2", {}, text(job.name, 200), " ", text(job.identifier, 1000)),
    el("p", {}, state(job), " ", code),
  ];
}

function known(job, me) {
  const last = job.last_lines ? [el("h3", {}, "Last lines"), el("pre", {}, ...output(job.last_lines))] : [];
  return [facts(job, me), ...last];
}

function facts(job, me) {
  const rows = [
    ["Identifier", text(job.identifier, 2000)],
    ["Kind", job.kind],
    ["Created", time(job.created)],
    ["Started", time(job.started)],
    ["Ended", time(job.ended)],
    ["Started again", job.restarts ? counted(job.restarts, "time") : ""],
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

// The life of a job as a line in time: thin until it has started.
function life(job) {
  const marks = [["created", job.created], ["started", job.started], ["ended", job.ended]]
    .filter(([, at]) => at)
    .map(([name, at]) => [name, Math.max(Date.parse(at), Date.parse(job.created ?? at))]); // clocks differ
  if (!marks.length) return "";
  const first = marks[0][1];
  const last = Math.max(job.ended ? Date.parse(job.ended) : now(), first + 1);
  const x = (at) => `${(100 * (at - first)) / (last - first)}%`;
  const told = marks.map(([name, at]) => (at === first ? `${name} ${new Date(at).toLocaleString()}` : `${name} ${short(at - first)} later`));
  if (!job.ended) told.push(`${short(last - first)} old`);
  const words = told.join(", ");
  return el(
    "figure",
    {},
    svg(
      "svg",
      { class: "life", height: 16, role: "img", "aria-label": `Its life: ${words}` },
      svg("line", { class: "axis", x1: 0, x2: "100%", y1: 8, y2: 8 }),
      job.started && svg("line", { class: "span", x1: x(Date.parse(job.started)), x2: "100%", y1: 8, y2: 8 }),
      ...marks.map(([, at]) => svg("circle", { class: "mark", cx: x(at), cy: 8, r: 4 })),
    ),
    el("figcaption", { class: "dim" }, words),
  );
}
