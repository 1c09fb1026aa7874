// The page: who looks at it, which view is shown, and whether the supervisor answers.

import { get, Refused, reportErrors } from "./api.js";
import { watchAttention } from "./attention.js";
import { dayPage } from "./day.js";
import { launchDialog } from "./dialogs.js";
import { el } from "./dom.js";
import { historyPage } from "./history.js";
import { jobPage } from "./job.js";
import { liveList } from "./list.js";
import { Store } from "./store.js";

const main = document.getElementById("main");
const connection = document.getElementById("connection");

async function start() {
  reportErrors();
  const me = await get("/api/me");
  const store = new Store(logIn);
  store.addEventListener("connection", ({ detail: open }) => {
    connection.textContent = open ? "" : "The supervisor does not answer. This page comes back by itself.";
    connection.classList.toggle("away", !open);
  });
  showAccount(me);
  watchAttention(document.getElementById("attention"));
  store.open();
  let shown = null;
  const route = () => {
    shown?.close();
    shown = viewOf(location.hash, store, me);
    main.replaceChildren(shown.view);
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === (location.hash || "#/")) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("hashchange", () => {
    route();
    main.focus();
  });
  document.querySelector("nav").hidden = false;
  route();
}

function viewOf(hash, store, me) {
  const [, view, id] = hash.split("/");
  if (view === "job") return jobPage(decodeURIComponent(id ?? ""), store, me);
  if (view === "history") return historyPage(store);
  if (view === "day") return dayPage(me);
  return liveList(store, me.may.launch && launchDialog);
}

function showAccount({ client, role, version }) {
  const out = async () => {
    await fetch("/logout", { method: "POST" });
    logIn();
  };
  const account = document.getElementById("account");
  account.replaceChildren(el("span", { class: "dim" }, [client, role, version].filter(Boolean).join(" · ")));
  if (role) account.append(el("button", { click: out }, "Log out"));
}

function logIn() {
  location.replace("/");
}

start().catch((error) => {
  if (error instanceof Refused) logIn();
  else main.prepend(el("p", { class: "wrong", role: "alert" }, error.message));
});
