// @ts-check
// The page's end of the line to the worker: requests that are promises, and events by name.

/** @typedef {import("./messages.d.ts").Request} Request */
/** @typedef {import("./messages.d.ts").Event} Event */
/** @typedef {import("./messages.d.ts").Failure} Failure */
/** @typedef {import("./messages.d.ts").Empty} Empty */
/**
 * What methods of the schema answer.
 * @typedef {{
 *   hello: import("./messages.d.ts").Hello, describe: import("./messages.d.ts").Description, start: import("./messages.d.ts").RunResult,
 *   open: import("./messages.d.ts").RunResult, pause: Empty, resume: Empty, step: Empty, stop: Empty, save: Empty, runs: import("./messages.d.ts").Runs,
 *   cancel: Empty, set: import("./messages.d.ts").RunResult, metrics: import("./messages.d.ts").Metrics, norms: import("./messages.d.ts").PastNorms, download: import("./messages.d.ts").Download, delete: Empty,
 *   rename: Empty, diagnose: import("./messages.d.ts").Diagnosis, generate: import("./messages.d.ts").Generated, import: import("./messages.d.ts").RunResult,
 * }} Results
 */
/**
 * The methods that the worker answers by itself or changes: files for import and text, a Blob from download.
 * @typedef {{
 *   import: { params: { files: File[], name: string }, result: import("./messages.d.ts").RunResult },
 *   download: { params: { run: string }, result: import("./messages.d.ts").Download & { blob: Blob } },
 *   text: { params: { file: Blob, name: string }, result: { path: string, bytes: number, kind: "text" | "sound", plain: boolean } },
 *   texts: { params: {}, result: { texts: { path: string, bytes: number }[] } },
 *   deleteText: { params: { path: string }, result: Empty },
 *   usage: { params: {}, result: { bytes: number, quota: number } },
 * }} Extended
 */
/** What a method of the schema takes. @template {string} M @template [R=Request] @typedef {R extends Request ? M extends R["method"] ? R["params"] : never : never} ParamsOf */
/** @typedef {Extended & { [M in Exclude<keyof Results, keyof Extended>]: { params: ParamsOf<M>, result: Results[M] } }} Methods */
/**
 * The events: those of the schema, how much of the program has come ("progress"), and that it has ended ("crash"), with
 * the last that it printed.
 * @typedef {{ [E in Event["event"]]: Extract<Event, { event: E }>["data"] } & { progress: { loaded: number, total: number }, crash: Failure & { output: string } }} Events
 */
/** @typedef {{ method: string, resolve: (result: any) => void, reject: (e: unknown) => void, forget: () => void }} Pending */

/** RequestError is what a request was refused with. */
export class RequestError extends Error {
  /** @param {Partial<Failure>} failure */
  constructor({ code = "internal", message = "the worker gave no reason", key = "", keys, step = 0, checkpoint = -1 }) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.key = key;
    this.keys = keys;
    this.step = step;
    this.checkpoint = checkpoint;
  }
}

/** Client has a worker, and another one after restart. */
export class Client {
  /**
   * @param {object} o
   * @param {string | URL} o.url the worker's
   * @param {(event: string, data: any) => void} [o.onEvent] gets every event, also those of unknown names
   * @param {(url: string | URL) => Worker} [o.create] makes the worker
   */
  constructor({ url, onEvent = () => {}, create = (url) => new Worker(url, { type: "module", name: "innerloop" }) }) {
    this.url = url;
    this.onEvent = onEvent;
    this.create = create;
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    /** @type {Map<string, Set<(data: any) => void>>} */
    this.listeners = new Map();
    this.nextID = 1;
    /** @type {Worker | null} */
    this.worker = null;
    /** Why no request can be answered; empty: they can. */
    this.dead = "";
    this.begin();
  }

  begin() {
    const worker = this.create(this.url);
    this.worker = worker;
    this.dead = "";
    worker.onmessage = (e) => {
      if (worker === this.worker) this.receive(e.data);
    };
    worker.onmessageerror = () => {
      if (worker === this.worker) this.end("a message of the worker could not be read", "");
    };
    worker.onerror = (e) => {
      e.preventDefault();
      if (worker === this.worker) this.end(`the worker failed: ${e.message || `${this.url} could not be loaded`}`, "");
    };
  }

  /**
   * request asks the worker and resolves to its answer, or rejects with a RequestError. Where the signal aborts, it
   * rejects with its reason, and the answer is dropped; text that is being generated ends.
   * @template {keyof Methods} M
   * @param {M} method
   * @param {Methods[M]["params"]} params
   * @param {{ signal?: AbortSignal }} [o]
   * @returns {Promise<Methods[M]["result"]>}
   */
  request(method, params, { signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      if (this.dead) throw new RequestError({ message: this.dead });
      const id = this.nextID++;
      this.worker?.postMessage({ id, method, params: method === "import" ? withPaths(/** @type {Extended["import"]["params"]} */ (params)) : params });
      const abort = () => {
        this.take(id)?.reject(signal?.reason);
        if (method === "generate" && !this.dead) void this.request("cancel", {}).catch(() => {});
      };
      signal?.addEventListener("abort", abort);
      this.pending.set(id, { method, resolve, reject, forget: () => signal?.removeEventListener("abort", abort) });
    });
  }

  /**
   * on calls fn with the data of each such event, until the function that it returns is called.
   * @template {keyof Events} E
   * @param {E} event
   * @param {(data: Events[E]) => void} fn
   * @returns {() => void}
   */
  on(event, fn) {
    const all = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, all.add(fn));
    return () => void all.delete(fn);
  }

  /** restart ends the worker and begins with a new one. What was asked is refused. */
  restart() {
    this.stop("the worker was restarted");
    this.begin();
  }

  /** dispose ends the worker for good. */
  dispose() {
    this.stop("the client was disposed of");
  }

  /** take removes a request that is waiting. @param {number} id */
  take(id) {
    const p = this.pending.get(id);
    this.pending.delete(id);
    p?.forget();
    return p;
  }

  /**
   * stop ends the worker and refuses what was asked and will be.
   * @param {string} why
   */
  stop(why) {
    this.dead = why;
    this.worker?.terminate();
    this.worker = null;
    for (const id of [...this.pending.keys()]) this.take(id)?.reject(new RequestError({ message: why }));
  }

  /**
   * end is the worker's own end.
   * @param {string} why
   * @param {string} output
   */
  end(why, output) {
    this.stop(why);
    this.emit("crash", { code: "internal", message: why, key: "", step: 0, checkpoint: -1, output });
  }

  /**
   * receive takes a message of the worker. What it does not know it leaves.
   * @param {any} m
   */
  receive(m) {
    if (typeof m !== "object" || m === null) return;
    if (typeof m.event === "string") {
      if (m.event === "loading") this.emit("progress", m.data);
      else if (m.event === "exit") this.end(lastWords(m.data), String(m.data?.output ?? ""));
      else this.emit(m.event, m.data);
    } else if (typeof m.id === "number") {
      const p = this.take(m.id);
      if (m.error || m.result === undefined) p?.reject(new RequestError(typeof m.error === "object" && m.error !== null ? m.error : {}));
      else p?.resolve(m.result);
    }
  }

  /** @param {string} event @param {any} data */
  emit(event, data) {
    for (const fn of [(/** @type {any} */ d) => this.onEvent(event, d), ...(this.listeners.get(event) ?? [])]) {
      try {
        fn(data);
      } catch (e) {
        reportError(e); // the page's own, and no reason to leave the others out
      }
    }
  }
}

/**
 * lastWords says in a sentence why the program ended.
 * @param {any} exit
 */
function lastWords(exit) {
  const lines = String(exit?.output ?? "").split("\n").map((l) => l.trim()).filter(Boolean);
  const line = lines.find((l) => /^(panic|fatal error|\w*Error)\b/.test(l)) ?? lines.at(-1);
  return `the trainer ended with code ${Number(exit?.code ?? -1)}${line ? `: ${line}` : ""}`;
}

/**
 * withPaths has each file's path beside it: what the worker gets of a File has lost its folder.
 * @param {Extended["import"]["params"]} params
 */
const withPaths = ({ files, name }) => ({ files: files.map((file) => ({ file, path: file.webkitRelativePath || file.name })), name });
