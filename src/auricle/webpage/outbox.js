// SPDX-License-Identifier: Apache-2.0
// Changes on their way to the server, one after another. What could not be sent is kept, also over a reload, and sent
// again; what the server refuses is put aside with the reason. Nothing is dropped without a word.

const WAITS_MS = [300, 1000, 3000, 8000, 15000];

// A refusal that will be the same next time.
const isFinal = (error) => error.status >= 400 && error.status < 500 && ![401, 408, 425, 429].includes(error.status);

export class Outbox {
  // send(method, path, value) -> promise of the reply. changed({waiting, refused, reason, trying}) tells the state.
  constructor(send, changed) {
    this.name = null;
    this.send = send;
    this.changed = changed;
    this.jobs = []; // {method, path, value}
    this.refused = [];
    this.replies = new Map();
    this.busy = false;
    this.reason = "";
    this.wake = null;
  }

  // What was kept under a name, that of a project, goes first.
  start(name) {
    this.name = name;
    try {
      const kept = JSON.parse(localStorage.getItem(name) ?? "{}");
      this.jobs.unshift(...(kept.jobs ?? []));
      this.refused.unshift(...(kept.refused ?? []));
    } catch {
      localStorage.removeItem(name);
    }
    addEventListener("beforeunload", (event) => this.jobs.length && event.preventDefault());
    addEventListener("online", () => this.retry());
    this.tell();
    this.work();
  }

  keep() {
    try {
      if (this.jobs.length || this.refused.length) localStorage.setItem(this.name, JSON.stringify({ jobs: this.jobs, refused: this.refused }));
      else localStorage.removeItem(this.name);
    } catch {
      // without storage a reload would lose what waits: then the browser asks before it
    }
  }

  tell() {
    this.keep();
    this.changed({ waiting: this.jobs.length, refused: this.refused.length, reason: this.reason });
  }

  // Returns a promise of the reply; it fails only where the server refuses the change.
  add(method, path, value) {
    const job = { method, path, value };
    this.jobs.push(job);
    const reply = new Promise((resolve, reject) => this.replies.set(job, { resolve, reject }));
    this.tell();
    this.work();
    return reply;
  }

  // Sends again at once, also what was refused.
  retry() {
    this.jobs.push(...this.refused.splice(0));
    this.tell();
    this.wake?.();
    this.work();
  }

  // Puts aside for good what the server refused.
  forget() {
    this.refused = [];
    this.reason = "";
    this.tell();
  }

  // When nothing waits any more.
  async settled() {
    while (this.jobs.length) await new Promise((resolve) => setTimeout(resolve, 30));
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    for (let failures = 0; this.jobs.length; ) {
      const [job] = this.jobs;
      try {
        const reply = await this.send(job.method, job.path, job.value);
        failures = 0;
        this.reason = "";
        this.done(job)?.resolve(reply);
      } catch (error) {
        this.reason = error.message;
        if (isFinal(error)) {
          this.refused.push(job);
          this.done(job)?.reject(error);
          continue;
        }
        this.tell();
        await this.rest(WAITS_MS[Math.min(failures++, WAITS_MS.length - 1)]);
      }
    }
    this.busy = false;
  }

  rest(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
    });
  }

  done(job) {
    this.jobs.shift();
    this.tell();
    const reply = this.replies.get(job);
    this.replies.delete(job);
    return reply;
  }
}
