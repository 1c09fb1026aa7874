// The last day at a glance: launches, failures and running jobs, as small plots.

import { get } from "./api.js";
import { el, svg } from "./dom.js";

const HEIGHT = 120, TOP = 4, BOTTOM = 20; // pixels
const LEFT = 8; // percent

export function dayPage(me) {
  const view = el("div", {}, el("h2", {}, "The last 24 hours"));
  const plots = el("div", {});
  view.append(plots);
  if (me.grafana_url) view.append(el("p", {}, el("a", { href: me.grafana_url, rel: "noreferrer" }, "More in Grafana")));

  async function show() {
    try {
      const day = await get("/api/day");
      plots.replaceChildren(
        plot("Launches", day.begun, day.step, day.launches, "bar-of"),
        plot("Failures", day.begun, day.step, day.failures, "bad-of"),
        plot("Running jobs, at the end of each half hour", day.begun, day.step, day.running, "line-of"),
        el("p", { class: "dim" }, day.complete ? "" : "The history is too long to be read whole: the first hours are not complete."),
      );
    } catch (error) {
      plots.replaceChildren(el("p", { class: "wrong", role: "alert" }, error.message));
    }
  }

  const timer = setInterval(() => document.hidden || show(), 60_000);
  show();
  return { view, close: () => clearInterval(timer) };
}

// Widths are in percent, so that a narrow screen has the same letters.
function plot(title, begun, step, values, look) {
  const most = Math.max(1, ...values);
  const x = (at) => LEFT + ((100 - LEFT) * at) / values.length;
  const y = (value) => TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / most);
  const floor = y(0);
  const total = look === "line-of" ? `now ${values.at(-1)}, at most ${Math.max(...values)}` : `${values.reduce((a, b) => a + b, 0)} in all`;
  const when = (at) => clock(begun + at * step);
  const told = (value, at) => svg("title", {}, `${when(at)} to ${when(at + 1)}: ${value}`);
  const drawn = values.map((value, at) =>
    look === "line-of"
      ? svg("line", { class: look, x1: `${x(at)}%`, x2: `${x(at + 1)}%`, y1: y(value), y2: y(value) }, told(value, at))
      : svg("rect", { class: look, x: `${x(at + 0.1)}%`, y: y(value), width: `${x(0.8) - x(0)}%`, height: floor - y(value) }, told(value, at)),
  );
  const hours = [0, 0.25, 0.5, 0.75].map((part) =>
    svg("text", { x: `${x(part * values.length)}%`, y: HEIGHT - 4 }, when(part * values.length)),
  );
  return el(
    "figure",
    {},
    el("figcaption", {}, `${title}: ${total}`),
    svg(
      "svg",
      { class: "plot", height: HEIGHT, role: "img", "aria-label": `${title}: ${total}` },
      svg("line", { class: "axis", x1: `${LEFT}%`, x2: "100%", y1: floor, y2: floor }),
      svg("text", { x: 0, y: TOP + 10 }, String(most)),
      svg("text", { x: 0, y: floor }, "0"),
      ...drawn,
      ...hours,
    ),
  );
}

function clock(seconds) {
  return new Date(1000 * seconds).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
