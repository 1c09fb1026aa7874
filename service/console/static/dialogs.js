// Questions to the person: a yes or no, and what to launch.

import { post } from "./api.js";
import { el } from "./dom.js";

// Ask, or only tell if there is no word for yes. True if the person agrees.
export function ask(title, words, yes) {
  return new Promise((resolve) => {
    const end = (agreed) => () => {
      dialog.remove();
      resolve(agreed);
    };
    const dialog = el(
      "dialog",
      { close: end(false), "aria-label": title },
      el("h2", {}, title),
      el("p", {}, words),
      el("div", { class: "bar" }, yes && el("button", { class: "danger", click: end(true) }, yes), el("button", { click: end(false) }, yes ? "Cancel" : "Close")),
    );
    document.getElementById("dialogs").append(dialog);
    dialog.showModal();
  });
}

export function launchDialog() {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const name = el("input", { required: true, autocomplete: "off" });
  const identifier = el("input", { required: true, autocomplete: "off" });
  const params = el("textarea", { rows: 4, spellcheck: "false" });
  params.value = "{}";
  const send = el("button", { type: "submit" }, "Launch");

  async function submit(event) {
    event.preventDefault();
    send.disabled = true;
    wrong.textContent = "";
    try {
      await post("/api/launch", { name: name.value, identifier: identifier.value, params: object(params.value) });
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
    }
    send.disabled = false;
  }

  const dialog = el(
    "dialog",
    { close: () => dialog.remove(), "aria-label": "Launch a job" },
    el(
      "form",
      { submit },
      el("h2", {}, "Launch a job"),
      el("label", {}, "Job, as the catalogue names it", name),
      el("label", {}, "Identifier", identifier),
      el("label", {}, "Parameters, a JSON object", params),
      wrong,
      el("div", { class: "bar" }, send, el("button", { type: "button", click: () => dialog.close() }, "Cancel")),
    ),
  );
  document.getElementById("dialogs").append(dialog);
  dialog.showModal();
}

function object(written) {
  let value;
  try {
    value = JSON.parse(written);
  } catch {
    value = null;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error("Parameters: are not a JSON object, such as {\"url\": \"x\"}");
  }
  return value;
}
