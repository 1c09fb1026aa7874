// The last day at a glance: launches, failures and running jobs, as small plots.

import { get } from "./api.js";
import { el, svg } from "./dom.js";

const WIDTH = 720, HEIGHT = 120, LEFT = 40, BOTTOM = 20;

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

  const timer = setInterval(show, 60_000);
  show();
  return { view, close: () => clearInterval(timer) };
}

function plot(title, begun, step, values, look) {
  const most = Math.max(1, ...values);
  const x = (at) => LEFT + ((WIDTH - LEFT) * at) / values.length;
  const y = (value) => (HEIGHT - BOTTOM) * (1 - value / most) + 4;
  const total = look === "line-of" ? `now ${values.at(-1)}, at most ${most}` : `${values.reduce((a, b) => a + b, 0)} in all`;
  const drawn = look === "line-of"
    ? [svg("polyline", { class: look, points: values.map((value, at) => `${x(at + 0.5)},${y(value)}`).join(" ") })]
    : values.map((value, at) => svg("rect", { class: look, x: x(at) + 1, y: y(value), width: x(1) - x(0) - 2, height: HEIGHT - BOTTOM + 4 - y(value) }));
  const hours = [0, 0.25, 0.5, 0.75].map((part) => {
    const at = new Date(1000 * (begun + part * step * values.length));
    return svg("text", { x: LEFT + part * (WIDTH - LEFT), y: HEIGHT }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  });
  return el(
    "figure",
    {},
    el("figcaption", {}, `${title}: ${total}`),
    svg(
      "svg",
      { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT + 4}`, role: "img", "aria-label": `${title}: ${total}` },
      svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: HEIGHT - BOTTOM + 4, y2: HEIGHT - BOTTOM + 4 }),
      svg("text", { x: 0, y: 14 }, String(most)),
      ...drawn,
      ...hours,
    ),
  );
}
