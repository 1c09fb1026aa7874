// Questions to the person: a yes or no, and what to launch.

import { get, post, Refused } from "./api.js";
import { el } from "./dom.js";

// Ask, or only tell if there is no word for yes. True if the person agrees.
export function ask(title, words, yes) {
  return new Promise((resolve) => {
    const end = (agreed) => () => {
      dialog.remove();
      resolve(agreed);
    };
    const question = el("h2", { id: "question" }, ...title);
    const agree = yes && el("button", { class: "danger", click: end(true) }, yes);
    const not = el("button", { click: end(false), autofocus: true }, yes ? "Cancel" : "Close");
    const dialog = el(
      "dialog",
      { close: end(false), "aria-labelledby": "question" },
      question,
      el("p", {}, ...words),
      el("div", { class: "bar" }, agree, not),
    );
    document.getElementById("dialogs").append(dialog);
    dialog.showModal();
  });
}

export function launchDialog() {
  const wrong = el("p", { class: "wrong", role: "alert" });
  const names = el("datalist", { id: "names" });
  const name = el("input", { required: true, autocomplete: "off", autocapitalize: "off", list: "names" });
  const identifier = el("input", { required: true, autocomplete: "off", autocapitalize: "off" });
  const params = el("textarea", { rows: 4, spellcheck: "false" });
  params.value = "{}";
  const send = el("button", { type: "submit" }, "Launch");

  async function submit(event) {
    event.preventDefault();
    send.disabled = true;
    send.textContent = "Launching …"; // its image may have to be pulled
    wrong.textContent = "";
    try {
      await post("/api/launch", { name: name.value, identifier: identifier.value, params: object(params.value) });
      dialog.close();
    } catch (error) {
      if (!(error instanceof Refused)) wrong.textContent = error.message;
    }
    send.disabled = false;
    send.textContent = "Launch";
  }

  const dialog = el(
    "dialog",
    { close: () => dialog.remove(), "aria-label": "Launch a job" },
    el(
      "form",
      { submit },
      el("h2", {}, "Launch a job"),
      el("label", {}, "Job, as the catalogue names it", name, names),
      el("label", {}, "Identifier", identifier),
      el("label", {}, "Parameters, a JSON object", params),
      wrong,
      el("div", { class: "bar" }, send, el("button", { type: "button", click: () => dialog.close() }, "Cancel")),
    ),
  );
  document.getElementById("dialogs").append(dialog);
  dialog.showModal();
  const offer = ({ names: known = [] }) => names.append(...known.map((value) => el("option", { value })));
  get("/api/names").then(offer, () => {}); // one can do without
}

// Act at once, or when the dialog with a form is closed: what somebody types is kept until then.
export function onceNothingIsTyped(act) {
  const typed = document.querySelector("dialog:has(form)");
  if (typed) typed.addEventListener("close", act);
  else act();
}

// Say in such a dialog that its client is not known any more: all tabs share a login.
export function askToLogIn() {
  const wrong = document.querySelector("dialog form .wrong");
  if (!wrong || wrong.querySelector("a")) return;
  const other = el("a", { href: "/", target: "_blank" }, "Log in in another tab");
  wrong.replaceChildren("You are not logged in any more. ", other, ", and launch then: what is typed here stays.");
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
