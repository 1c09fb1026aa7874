// The live jobs, as the supervisor tells each change of them, while somebody looks.

import { get, Refused } from "./api.js";

const PAUSE = 200; // between two drawings (milliseconds)
const AGAIN = 2000; // before the stream is opened again
const SILENCE = 30_000; // the supervisor says something every ten seconds, or the line is dead

// Events: `jobs` (draw them), `job` (one has changed), `snapshot` (all may have changed),
// `connection` (whether the supervisor answers), `me` (what the client is, asked anew).
export class Store extends EventTarget {
  jobs = new Map(); // by launch id
  complete = false;
  #coming = null; // a snapshot that is not complete yet
  #planned = false;
  #source = null;
  #token = "";
  #heard = 0;
  #again = 0;

  // A browser opens six connections at most, for all tabs together: those that nobody sees have none.
  open() {
    document.addEventListener("visibilitychange", () => this.#follow());
    setInterval(() => this.#listen(), SILENCE / 6);
    this.#follow();
  }

  #follow() {
    this.#close();
    if (document.hidden) return;
    if (!this.#token) this.#coming = null;
    const source = new EventSource(`/api/events?${new URLSearchParams({ resume_token: this.#token })}`);
    this.#source = source;
    this.#heard = Date.now();
    source.onopen = () => {
      this.#hear(true);
      // From here on the stream ends when the client may do other things; this finds what came before.
      this.#ask().catch((error) => {
        if (this.#source === source && !(error instanceof Refused)) this.#lose(AGAIN);
      });
    };
    source.addEventListener("beat", () => this.#hear());
    source.onmessage = (event) => {
      this.#hear();
      this.#token = event.lastEventId || this.#token;
      this.#take(JSON.parse(event.data));
    };
    source.addEventListener("refused", () => {
      this.#close();
      this.#retry();
    });
    source.onerror = () => this.#lose(AGAIN);
  }

  #close() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
  }

  #hear(opened = false) {
    this.#heard = Date.now();
    if (opened) this.#tell("connection", true);
  }

  #listen() {
    if (this.#source && Date.now() - this.#heard > SILENCE) this.#lose(0);
  }

  #lose(pause) {
    this.#close();
    this.#again = setTimeout(() => this.#retry(), pause);
    this.#tell("connection", false);
  }

  async #retry() {
    try {
      await this.#ask();
    } catch (error) {
      if (!(error instanceof Refused)) this.#lose(AGAIN);
      return;
    }
    this.#follow();
  }

  async #ask() {
    this.#tell("me", await get("/api/me"));
  }

  #take({ kind, jobs, complete }) {
    if (kind === "gap") {
      this.#coming = null;
    } else if (kind === "snapshot") {
      this.#coming ??= new Map();
      for (const job of jobs) this.#coming.set(job.launch_id, job);
      if (!this.complete) this.jobs = this.#coming;
      if (complete) this.#replace();
    } else {
      for (const job of jobs) this.#change(job);
    }
    this.#plan();
  }

  #replace() {
    this.jobs = this.#coming;
    this.#coming = null;
    this.complete = true;
    this.#tell("snapshot");
  }

  #change(job) {
    if (job.state === "gone") this.jobs.delete(job.launch_id);
    else this.jobs.set(job.launch_id, job);
    this.#tell("job", job);
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    setTimeout(() => {
      this.#planned = false;
      this.#tell("jobs");
    }, PAUSE);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
