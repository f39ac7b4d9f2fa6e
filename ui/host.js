// @ts-check
// What stands between the page and Go in the worker: requests that are answered here or prepared for Go, the columns of
// its answers, and locks. Its face to Go is globalThis.innerloopHost.

import { deleteText, failure, keepText, listTexts, pack, takeFiles } from "./uploads.js";
import { DataError } from "./zip.js";

/** @typedef {import("./fs.js").FileSystem} FileSystem */
/** @typedef {{ kind: "opfs" | "memory", problem: string }} Storage */
/** @typedef {{ id: number, method: string, params: any }} Request */
/**
 * What the host takes of the browser.
 * @typedef {object} Browser
 * @property {(message: object, transfer: Transferable[]) => void} send to the page
 * @property {LockManager | undefined} locks
 * @property {() => Promise<{ bytes: number, quota: number }>} usage
 * @property {() => number} memory bytes of Go's memory
 * @property {string} [version] of innerloop
 */

/** A tab that is being closed, or a page that is loading anew, has its locks for a moment longer. */
const LOCK_MS = 1000;
/** A checkpoint that goes while it is packed is packed anew. */
const PACKS = 3;

/** Host answers the page. */
export class Host {
  /**
   * @param {FileSystem} files
   * @param {Storage} storage
   * @param {Browser} browser
   */
  constructor(files, storage, browser) {
    this.files = files;
    this.storage = storage;
    this.browser = browser;
    this.memory = browser.memory;
    this.version = browser.version ?? "";
    /** @type {((json: string) => void) | null} */
    this.go = null;
    /** @type {Request[]} requests that came before Go was there */
    this.early = [];
    /** What is done with an answer of Go before the page gets it. @type {Map<number, (reply: any) => Promise<object | null>>} */
    this.after = new Map();
    /** @type {Map<string, { release: () => void, released: Promise<unknown> }>} */
    this.held = new Map();
    /** @type {Map<string, Promise<unknown>>} */
    this.releasing = new Map();
  }

  /** receive is Go's, once it is ready. @param {((json: string) => void) | null} fn */
  set receive(fn) {
    this.go = fn;
    // Not within Go's own call.
    queueMicrotask(() => {
      for (const q of this.early.splice(0)) this.forward(q);
    });
  }

  get receive() {
    return this.go;
  }

  /** forward gives Go a request. @param {Request} q */
  forward(q) {
    if (this.go) this.go(JSON.stringify(q));
    else this.early.push(q);
  }

  /**
   * post sends the page what Go says. columns are the bytes of 64-bit floats by their key in the result or the data.
   * @param {string} json
   * @param {{ [key: string]: Uint8Array<ArrayBuffer> }} columns
   */
  post(json, columns) {
    const message = JSON.parse(json);
    /** @type {Transferable[]} */
    const transfer = [];
    for (const [key, bytes] of Object.entries(columns ?? {})) {
      const whole = bytes.byteOffset === 0 && bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
      const column = new Float64Array(whole.buffer);
      (message.result ?? message.data)[key] = column;
      transfer.push(column.buffer);
    }
    const then = this.after.get(message.id);
    if (!then) {
      this.browser.send(message, transfer);
      return;
    }
    this.after.delete(message.id);
    void then(message).then((m) => m && this.browser.send(m, transfer), (e) => this.refuse(message.id, e));
  }

  /** refuse answers a request with an error. @param {number} id @param {unknown} e */
  refuse(id, e) {
    this.browser.send({ id, error: failure(e) }, []);
  }

  /**
   * handle takes a message of the page.
   * @param {any} q
   */
  async handle(q) {
    if (typeof q !== "object" || q === null || !Number.isSafeInteger(q.id) || q.id < 1) return; // nobody to answer
    try {
      const { id, method } = q;
      const params = q.params ?? {};
      if (method === "usage") {
        this.browser.send({ id, result: await this.browser.usage() }, []);
      } else if (method === "text") {
        if (!(params.file instanceof Blob) || typeof params.name !== "string") throw new DataError("text: want a file and its name", "usage");
        this.browser.send({ id, result: await keepText(this.files, params.file, params.name) }, []);
      } else if (method === "texts") {
        this.browser.send({ id, result: { texts: await listTexts(this.files) } }, []);
      } else if (method === "deleteText") {
        await deleteText(this.files, String(params.path ?? ""));
        this.browser.send({ id, result: {} }, []);
      } else if (method === "import") {
        await this.import(id, params);
      } else if (method === "download") {
        this.download(q, PACKS);
      } else {
        this.forward(q);
      }
    } catch (e) {
      this.refuse(q.id, e);
    }
  }

  /**
   * import has Go take an upload over, which goes when that is done.
   * @param {number} id
   * @param {any} params
   */
  async import(id, params) {
    const files = params.files ?? [];
    if (!Array.isArray(files) || files.some((/** @type {any} */ f) => !(f?.file instanceof Blob) || typeof f.path !== "string")) throw new DataError("import: want files and their paths", "usage");
    const dir = await takeFiles(this.files, files);
    this.after.set(id, async (reply) => {
      await this.files.removeAll(dir);
      return reply;
    });
    this.forward({ id, method: "import", params: { dir, name: String(params.name ?? "") } });
  }

  /**
   * download packs the files that Go lists.
   * @param {Request} q
   * @param {number} tries
   */
  download(q, tries) {
    this.after.set(q.id, async (reply) => {
      if (!reply.result) return reply;
      const { dir, name, files } = reply.result;
      try {
        reply.result.blob = await pack(this.files, dir, name, files);
      } catch (e) {
        // While it trains on, a newer checkpoint may have replaced this one.
        if (tries <= 1 || !["ENOENT", "EIO"].includes(/** @type {any} */ (e).code)) throw e;
        this.download(q, tries - 1);
        return null;
      }
      return reply;
    });
    this.forward(q);
  }

  /**
   * lock resolves to whether name is this worker's now, and no other tab's, until unlock or the worker's end.
   * @param {string} name
   * @returns {Promise<boolean>}
   */
  async lock(name) {
    await this.releasing.get(name);
    if (this.held.has(name)) return false;
    const { locks } = this.browser;
    if (!locks) return true; // a browser without locks: two tabs are then the person's care
    return new Promise((resolve) => {
      const patience = new AbortController();
      const timer = setTimeout(() => patience.abort(), LOCK_MS);
      const released = locks.request(`innerloop:${name}`, { signal: patience.signal }, () => {
        clearTimeout(timer);
        return new Promise((release) => {
          this.held.set(name, { release: () => release(undefined), released });
          resolve(true);
        });
      });
      released.catch(() => {
        clearTimeout(timer);
        resolve(false);
      });
    });
  }

  /** unlock gives name back. @param {string} name */
  unlock(name) {
    const held = this.held.get(name);
    if (!held) return;
    this.held.delete(name);
    const gone = held.released.catch(() => {}).then(() => {
      if (this.releasing.get(name) === gone) this.releasing.delete(name);
    });
    this.releasing.set(name, gone);
    held.release();
  }
}
