// The page: who looks at it, which view is shown, and whether the supervisor answers.

import { get, Refused, reportErrors, whenRefused } from "./api.js";
import { watchAttention } from "./attention.js";
import { dayPage } from "./day.js";
import { askToLogIn, launchDialog, onceNothingIsTyped } from "./dialogs.js";
import { el } from "./dom.js";
import { historyPage } from "./history.js";
import { jobPage } from "./job.js";
import { liveList } from "./list.js";
import { Store } from "./store.js";

const AGAIN = 2000; // before a page that could not begin tries it again (milliseconds)
const main = document.getElementById("main");
const connection = document.getElementById("connection");

async function start() {
  const me = await get("/api/me");
  const store = new Store();
  store.addEventListener("connection", ({ detail: open }) => tell(open));
  store.addEventListener("me", ({ detail }) => isOther(detail, me) && onceNothingIsTyped(reload));
  tell(true);
  showAccount(me);
  watchAttention(document.getElementById("attention"), store);
  store.open();
  document.querySelector("nav").hidden = false;
  showViews(store, me);
}

function showViews(store, me) {
  let shown = null;
  const route = () => {
    shown?.close();
    shown = viewOf(location.hash, store, me);
    main.replaceChildren(shown.view);
    const [path] = (location.hash || "#/").split("?");
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === path) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("hashchange", () => {
    route();
    if (!shown.focus?.()) main.focus();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says which view is shown
    main.focus();
  });
  route();
}

function viewOf(hash, store, me) {
  const [path, query] = hash.split("?");
  const [, view, id] = path.split("/");
  const fields = new URLSearchParams(query);
  if (view === "job") return jobPage(decoded(id), store, me);
  if (view === "history") return historyPage(store, fields);
  if (view === "day") return dayPage(me);
  return liveList(store, me.may.launch && launchDialog, fields);
}

function decoded(id = "") {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function tell(open) {
  connection.textContent = open ? "" : "The supervisor does not answer. This page comes back by itself.";
  connection.classList.toggle("away", !open);
}

// Another client has logged in, may do other things, or the supervisor is a newer one.
function isOther(now, before) {
  return JSON.stringify(now) !== JSON.stringify(before);
}

function showAccount({ client, role, version }) {
  const out = () => fetch("/logout", { method: "POST" }).finally(reload);
  const account = document.getElementById("account");
  account.replaceChildren(el("span", { class: "dim" }, [client, role, version].filter(Boolean).join(" · ")));
  if (role) account.append(el("button", { click: out }, "Log out"));
}

function reload() {
  location.reload();
}

// The same address asks for a token, and shows the same view after it.
function logIn() {
  askToLogIn();
  onceNothingIsTyped(reload);
}

function begin() {
  start().catch((error) => {
    if (error instanceof Refused) return;
    tell(false);
    setTimeout(begin, AGAIN);
  });
}

reportErrors();
whenRefused(logIn);
begin();
