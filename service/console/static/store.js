// The live jobs, as the supervisor tells each change of them.

const PAUSE = 200; // between two drawings (milliseconds)
const AGAIN = 2000; // before the stream is opened again, if the browser does not do so by itself

export class Store extends EventTarget {
  jobs = new Map(); // by launch id
  complete = false;
  #coming = null; // a snapshot that is not complete yet
  #planned = false;

  // `refused` is called if the client may not watch (any more).
  constructor(refused) {
    super();
    this.refused = refused;
  }

  open(token = "") {
    const source = new EventSource(`/api/events?${new URLSearchParams({ resume_token: token })}`);
    source.onopen = () => this.#tell("connection", true);
    source.onmessage = (event) => {
      token = event.lastEventId || token;
      this.#take(JSON.parse(event.data));
    };
    source.addEventListener("refused", () => {
      source.close();
      this.refused();
    });
    source.onerror = () => {
      this.#tell("connection", false);
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => this.#reopen(token), AGAIN);
    };
  }

  async #reopen(token) {
    const response = await fetch("/api/me").catch(() => null);
    if (response?.status === 401) this.refused();
    else this.open(token);
  }

  #take({ kind, jobs, complete }) {
    if (kind === "gap") {
      this.#coming = null;
    } else if (kind === "snapshot") {
      this.#coming ??= new Map();
      for (const job of jobs) this.#coming.set(job.launch_id, job);
      if (complete) {
        this.jobs = this.#coming;
        this.#coming = null;
        this.complete = true;
      }
    } else {
      for (const job of jobs) this.#change(job);
    }
    this.#plan();
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
