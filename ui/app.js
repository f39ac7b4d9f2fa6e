// @ts-check
// The page's state and what can be done with it. Views listen to "change" and friends; only this file asks the trainer
// to train.

import { beginning } from "./changes.js";
import { keepDraft } from "./drafts.js";
import { Settings } from "./settings.js";
import { decode, encode } from "./link.js";
import { SMOOTHING } from "./columns.js";
import { Track } from "./verdict.js";
import { debounced, prefs } from "./dom.js";
import { otherVersion, whyMissing } from "./outdated.js";

/**
 * @typedef {import("./messages.d.ts").Failure} Told
 * @typedef {Omit<Told, "code"> & { code: Told["code"] | import("./outdated.js").Why }} Failure the trainer's, or the page's own
 * @typedef {import("./messages.d.ts").Run} Run
 * @typedef {import("./messages.d.ts").Config} Config
 * @typedef {import("./client.js").Methods} Methods
 *
 * Phases: loading, the trainer comes; idle, no run is open; opening, one is made ready; broken, the worker is gone; the
 * others are the trainer's states.
 * @typedef {"loading" | "idle" | "opening" | "running" | "paused" | "finished" | "failed" | "broken"} Phase
 *
 * @typedef {object} Trouble what the failure panel shows
 * @property {Failure} failure
 * @property {string} title
 * @property {string} run the run's id, or ""
 * @property {string} text the file that was to be read in place of another, or ""
 *
 * Views' events. change: phase, run or trouble. settings: keys of settings that changed. described: the trainer's
 * description came. runs: the list of kept runs. run: another run is shown. track: losses came. device, ready. texts: those
 * that are kept.
 * done: the title of what would have gone wrong and did not.
 * @typedef {"texts" | "done" | "change" | "settings" | "described" | "runs" | "run" | "track" | "device" | "ready" | "notice"} Topic
 *
 * @typedef {{ id: string, tone: "info" | "warn" | "error", title: string, text: string, actions?: { label: string, act: () => void, when?: () => boolean }[], list?: string[] }} Notice
 */

/** The states in which a run is open. */
const OPEN = new Set(["opening", "running", "paused", "finished", "failed"]);

/** The name under which the book of the Go installation is kept among the texts. */
const OPTICKS = "opticks.txt";

const OPENING = "The run could not be opened";

/** The step from which a run's speed is known. */
const KNOWN = 10;

/** Under which name a tab keeps what a refresh has to find again. */
const TAB = "innerloop.tab";

/**
 * remembered is what this tab had before it was loaded anew: the run that was open, or "". null: it is another visit, or a link.
 * @returns {{ run: string } | null}
 */
function remembered() {
  try {
    const { run, link } = JSON.parse(sessionStorage.getItem(TAB) ?? "null") ?? {};
    return link === location.hash && typeof run === "string" ? { run } : null;
  } catch {
    return null;
  }
}

/** What the client says of requests that a restart of the worker cut off. */
const RESTARTED = "the worker was restarted";

/** App is the page without its looks. */
export class App {
  /** @type {Phase} */ phase = "loading";
  /** The run that is shown: open, or the last one that was. @type {Run | null} */ run = null;
  /** @type {Trouble | null} */ trouble = null;
  /** @type {import("./messages.d.ts").Hello | null} */ hello = null;
  /** @type {import("./messages.d.ts").Description | null} */ description = null;
  /** A setting that the trainer refused. @type {Failure | null} */ problem = null;
  /** @type {Run[]} */ runs = [];
  /** Texts that the worker has, with their bytes. @type {Map<string, number>} */ texts = new Map();
  settings = new Settings({});
  track = new Track();
  /** The run was opened from storage, not trained in this page. */
  kept = false;
  /** Something was asked for that is not done: opening, packing, and the like. */
  busy = false;
  /** A single step is under way: the state is running, and soon paused again. */
  stepping = false;
  /** A new run was asked for. */
  starting = false;
  /** A pause was asked for: the step under way comes first. */
  pausing = false;
  /** What the run waits for that is made ready; null: not told yet. @type {import("./messages.d.ts").PreparingEvent["data"] | null} */
  preparing = null;
  /** What should train. @type {"auto" | "gpu" | "cpu"} */
  device = "auto";

  /** @type {Map<Topic, Set<(data: any) => void>>} */ #views = new Map();
  #describing = 0;
  /** The problem is of a start, which any change may mend. */ #unstarted = false;

  /**
   * @param {import("./client.js").Client} client
   * @param {typeof import("innerloop:assets").default} assets
   */
  constructor(client, assets) {
    this.client = client;
    this.assets = assets;
    client.on("state", (d) => this.#entered(d));
    client.on("steps", (d) => {
      if (d.run !== this.run?.id) return;
      this.track.add(d, this.tokensPerStep, this.steps);
      const last = d.rows.at(-1);
      if (this.run && last) Object.assign(this.run, { step: last.step, loss: this.track.smooth });
      this.tell("track", d);
      if (this.#clocked !== d.run && last && last.step >= KNOWN) {
        this.#clocked = d.run;
        void this.describe(); // how long a step takes is known now
      }
    });
    client.on("eval", (d) => {
      if (d.run !== this.run?.id) return;
      this.track.eval(d.step, d.loss);
      if (this.run) this.run.valLoss = d.loss;
      this.tell("track", null);
    });
    client.on("device", (device) => {
      if (this.hello) this.hello.device = device;
      this.tell("device", device);
    });
    client.on("crash", (failure) => this.#broke(failure));
    client.on("saved", () => this.listLater());
    client.on("preparing", (d) => {
      if (this.phase !== "opening") return;
      this.preparing = d;
      this.tell("change", null);
    });
    // A tab that is hidden may never be seen again, and one that goes has no time: what there is is kept while there is some.
    const keep = () => {
      if (this.isOpen && this.phase === "running") void this.client.request("save", {}).catch(() => {});
    };
    document.addEventListener("visibilitychange", () => document.hidden && keep());
    addEventListener("pagehide", keep);
    addEventListener("hashchange", () => this.#followLink());
  }

  /** @param {Topic} topic @param {(data: any) => void} fn */
  on(topic, fn) {
    const views = this.#views.get(topic) ?? new Set();
    this.#views.set(topic, views.add(fn));
  }

  /** @param {Topic} topic @param {any} data */
  tell(topic, data) {
    for (const fn of this.#views.get(topic) ?? []) fn(data);
  }

  /** @param {Notice} notice */
  notify(notice) {
    this.tell("notice", notice);
  }

  /** isOpen says whether the trainer has a run open. */
  get isOpen() {
    return OPEN.has(this.phase) && this.run !== null;
  }

  get steps() {
    return (this.isOpen || this.phase === "idle") && this.run ? this.run.steps : Number(this.settings.get("train.steps") ?? 0);
  }

  /** tokensPerStep are those of the open run. */
  get tokensPerStep() {
    const c = this.run?.config ?? {};
    return Number(c["train.batch_size"] ?? 0) * Number(c["train.seq_len"] ?? 0) * Number(c["train.micro_batches"] ?? 1);
  }

  /** The settings that the person changed, the last one last. @type {string[]} */ #touched = [];

  /**
   * fieldOf is the setting beside which a refusal is said: of those that it names the one that was changed last.
   * @param {Failure} f
   */
  fieldOf(f) {
    const named = f.keys ?? [f.key];
    return this.#touched.findLast((k) => named.includes(k)) ?? f.key;
  }

  // Beginning

  /** boot brings up the trainer, the settings of the link and the run that was under way. @param {"auto" | "gpu" | "cpu"} device */
  async boot(device) {
    this.device = device;
    this.#enter("loading");
    try {
      const hello = await this.client.request("hello", { device });
      const first = this.hello === null;
      const other = otherVersion(this.assets.version, hello.version);
      if (other) {
        this.client.stop(other.message);
        this.#broken(failure(other));
        return;
      }
      this.hello = hello;
      if (first) this.settings = this.#newSettings(hello.defaults);
      this.tell("ready", hello);
      const tab = first ? remembered() : null;
      const linked = first && this.#followLink();
      // Where a processor plays the GPU, one click should show something within a minute.
      if (first && !linked && hello.device.software) this.settings.preset("tiny");
      if (this.phase === "loading") this.#enter("idle");
      this.describe();
      await this.#listTexts();
      await this.list();
      if (this.run && !this.runs.some((r) => r.id === this.run?.id)) this.#shown(null);
      const mine = this.run?.id ?? (tab?.run || "");
      const newest = this.runs.find((r) => r.id === mine) ?? this.runs[0];
      if (newest && newest.problem === "" && newest.step > 0 && newest.step < newest.steps && this.phase === "idle") {
        // A link is there to be started, unless this very tab has it from the run that it had open.
        if (linked && newest.id !== tab?.run) this.#offer(newest);
        else await this.open(newest.id, { adopt: first && !linked, quiet: true });
      }
    } catch (e) {
      if (this.phase !== "broken") this.#broke(failure(e)); // else the worker's own words came first
    }
  }

  /** restartWorker begins again after the worker ended or hangs. What was saved is kept. */
  async restartWorker() {
    this.trouble = null;
    this.texts.clear(); // with storage in memory they are gone
    this.#enter("loading");
    await this.client.restart();
    await this.boot(this.device);
  }

  /** useDevice has another device train, from now on. A run that is open goes over to it. @param {"auto" | "gpu" | "cpu"} device */
  async useDevice(device) {
    const open = this.isOpen ? this.run?.id : undefined;
    await this.#act("The device could not be changed", async () => {
      this.hello = await this.client.request("hello", { device });
      this.device = device;
      prefs.set("device", device === "auto" ? null : device);
      const url = new URL(location.href);
      if (url.searchParams.has("device")) {
        url.searchParams.set("device", device);
        history.replaceState(null, "", url);
      }
      this.tell("ready", this.hello);
    });
    this.describe();
    if (open) await this.open(open, { adopt: false });
  }

  /** offer tells of a run that was not finished where a link is there to be started. @param {Run} run */
  #offer(run) {
    this.notify({
      id: "previous", tone: "info", title: "The link is ready to start.", text: `${run.name} stays among the runs, at step ${run.step.toLocaleString("en")} of ${run.steps.toLocaleString("en")}.`,
      actions: [{ label: "Go on with it instead", act: () => void this.open(run.id) }],
    });
  }

  /** remember keeps in this tab what a refresh has to find again. */
  #remember() {
    try {
      sessionStorage.setItem(TAB, JSON.stringify({ run: this.isOpen ? this.run?.id : "", link: location.hash }));
    } catch {
      // The storage is refused: the page forgets.
    }
  }

  /** @param {Config} defaults */
  #newSettings(defaults) {
    const settings = new Settings(defaults);
    const remember = debounced(300, () => {
      try {
        history.replaceState(null, "", location.pathname + location.search + this.fragment());
      } catch {
        // The browser allows only so many a minute: the next change comes through.
      }
      this.#remember();
    });
    const describe = debounced(150, () => this.describe());
    settings.onChange((keys) => {
      this.#touched = [...this.#touched.filter((k) => !keys.includes(k)), ...keys];
      if (this.problem && (this.#unstarted || keys.includes(this.problem.key))) this.problem = null;
      if (this.trouble?.failure.code === "config") this.dismiss();
      this.tell("settings", keys);
      remember();
      describe();
    });
    return settings;
  }

  /** fragment is the settings as a link has them. A text of this browser is in it by name, a path of elsewhere is not. */
  fragment() {
    return encode(Object.entries(this.settings.overrides()).filter(([k, v]) => k !== "data.file" || String(v).startsWith("/texts/")));
  }

  /** @returns {boolean} whether the link said anything that counts */
  #followLink() {
    if (location.hash === this.fragment() || !this.hello) return false;
    const { values, refused, more } = decode(location.hash, (k) => this.settings.has(k));
    this.settings.replace(values);
    if (refused.length > 0) {
      this.notify({
        id: "link", tone: "warn", title: values.size > 0 ? "Part of the link was left out." : "Nothing in the link could be used.",
        text: values.size > 0 ? `${values.size === 1 ? "One setting applies" : `${values.size} settings apply`}; these do not:` : "These are not settings of a run:",
        list: [...refused.map((r) => `${r.key}: ${r.reason}`), ...(more > 0 ? [`and ${more} more`] : [])],
      });
    }
    if (values.size > 0 && this.isOpen) {
      this.notify({
        id: "link-next", tone: "info", title: "The link's settings are for the next run.", text: "The open one goes on as it is.",
        actions: [{ label: "Save it and start the link's", act: () => void this.start() }],
      });
    }
    return values.size > 0;
  }

  /** describe asks what the settings would be. */
  async describe() {
    const turn = ++this.#describing;
    try {
      const sent = this.settings.overrides();
      const d = await this.client.request("describe", { config: sent });
      if (turn !== this.#describing) return;
      const followed = this.settings.follow(d.config, sent);
      this.description = d;
      if (followed.length > 0) this.tell("settings", followed);
      this.tell("described", d);
    } catch (e) {
      if (turn === this.#describing) this.#report(e, "The settings could not be measured");
    }
  }

  // Training

  /** start begins a new run with the settings. @param {{ paused?: boolean, weights?: string }} [how] */
  async start({ paused = false, weights = "" } = {}) {
    if (this.starting) return false;
    this.starting = true;
    this.trouble = null;
    const ok = await this.#act("The run could not start", async () => {
      await this.#bringText(String(this.settings.get("data.file") ?? ""));
      await this.client.request("start", { config: this.settings.overrides(), name: "", paused, weights });
    }, "");
    this.starting = false;
    this.tell("change", null);
    if (!ok && this.phase === "opening") this.#enter("idle");
    return ok;
  }

  /** pause answers at once: a step may take long. */
  async pause() {
    if (this.pausing) return;
    this.pausing = true;
    await this.#act("The run could not pause", () => this.client.request("pause", {}));
    this.pausing = false;
    this.tell("change", null);
  }

  /** cancel gives up the run that is made ready. */
  cancel = () => this.#act("It could not be cancelled", () => this.client.request("cancel", {}));
  resume = () => this.#act("The run could not go on", () => this.client.request("resume", {}));
  stop = () => this.#act("The run could not be closed", () => this.client.request("stop", {}));

  /** step makes one step of the run that is shown, which is opened again where it was stopped; without a run, the first of a new one. */
  async step() {
    if (!this.isOpen && !(this.run ? await this.open(this.run.id, { adopt: false }) : await this.start({ paused: true }))) return;
    if (this.phase !== "paused") return;
    this.stepping = true;
    if (!(await this.#act("The step could not be made", () => this.client.request("step", {})))) this.stepping = false;
    this.tell("change", null);
  }

  /** more makes a finished run longer and goes on with it. @param {number} steps */
  async more(steps) {
    const total = this.steps + steps;
    await this.#act("The run could not go on", async () => {
      await this.#set("train.steps", total);
      await this.client.request("resume", {});
    });
  }

  /**
   * open takes up a kept run at its newest checkpoint, paused.
   * @param {string} id
   * @param {{ adopt?: boolean, quiet?: boolean, text?: string, otherText?: boolean, go?: boolean }} [how] adopt: the settings
   *   become the run's; quiet: a run that does not open is only told; text: a file in place of the run's
   */
  async open(id, { adopt = true, quiet = false, text = "", otherText = false, go = false } = {}) {
    try {
      this.#busy(true);
      const kept = this.runs.find((r) => r.id === id);
      await this.#bringText(String(kept?.config["data.file"] ?? ""));
      const { run } = await this.client.request("open", { run: id, paused: !go, text, otherText });
      if (adopt) this.settings.replace(Object.entries(beginning(run)));
      this.tell("done", OPENING);
      return true;
    } catch (e) {
      const f = failure(e);
      if (f.code === "cancelled") return false;
      if (quiet && f.code !== "needs-text") {
        this.notify({ id: "reopen", tone: "warn", title: "The last run did not open.", text: f.message, actions: [{ label: "Try again", act: () => void this.open(id) }] });
      } else this.#show({ failure: f, title: OPENING, run: id, text });
      return false;
    } finally {
      this.#busy(false);
    }
  }

  /** metrics brings the curves of a kept run. @param {string} id */
  metrics(id) {
    return this.client.request("metrics", { run: id });
  }

  /** norms brings what a kept run's normalisers did. @param {string} id */
  norms(id) {
    return this.client.request("norms", { run: id });
  }

  /** dismiss takes the failure panel away. */
  dismiss() {
    this.trouble = null;
    this.tell("change", null);
  }

  // Texts and files

  /** takeText makes a file the data. @param {Blob} file @param {string} name */
  async takeText(file, name) {
    return this.#act("The text could not be read", async () => {
      const path = await this.#sendText(file, name);
      this.settings.set("data.task", this.settings.initial("data.task"));
      this.settings.set("data.file", path);
    });
  }

  /** answerText gives a run that waits for its text a file. @param {Blob} file @param {string} name */
  async answerText(file, name) {
    const id = this.trouble?.run ?? "";
    try {
      const path = await this.#sendText(file, name);
      if (id) await this.open(id, { text: path });
      else {
        this.settings.set("data.file", path);
        this.dismiss();
        await this.start();
      }
    } catch (e) {
      this.#report(e, "The text could not be read");
    }
  }

  /** #listTexts finds the texts of earlier visits. */
  async #listTexts() {
    try {
      this.texts = new Map((await this.client.request("texts", {})).texts.map((t) => [t.path, t.bytes]));
      this.tell("texts", null);
    } catch (e) {
      this.#report(e, "The kept texts could not be listed");
    }
  }

  /** readers are the kept runs that read a text, the open one first. @param {string} path */
  readers(path) {
    const open = this.isOpen ? this.run?.id : "";
    return this.runs.filter((r) => r.config["data.file"] === path).sort((a, b) => Number(b.id === open) - Number(a.id === open));
  }

  /** deleteText removes a text from this browser. @param {string} path */
  async deleteText(path) {
    return this.#act("The text could not be deleted", async () => {
      await this.client.request("deleteText", { path });
      this.texts.delete(path);
      if (this.settings.get("data.file") === path) this.settings.reset("data.file");
      this.tell("texts", null);
    });
  }

  /** takeOpticks makes Newton's book the data. */
  takeOpticks() {
    return this.#act("The book could not be loaded", async () => {
      const path = await this.#fetchOpticks();
      this.settings.set("data.task", this.settings.initial("data.task"));
      this.settings.set("data.file", path);
    });
  }

  /** @param {Blob} file @param {string} name */
  async #sendText(file, name) {
    const { path, bytes, plain } = await this.client.request("text", { file, name });
    if (!plain) this.notify({ id: "bytes", tone: "info", title: "This is no plain text.", text: `${name} is taken as it is: each of its bytes is a token.` });
    this.texts.set(path, bytes);
    this.tell("texts", null);
    return path;
  }

  async #fetchOpticks() {
    const reply = await fetch(this.assets.texts.opticks);
    const why = reply.ok ? null : await this.#missing([this.assets.texts.opticks]);
    if (why) throw why;
    if (!reply.ok) throw new Error(`${this.assets.texts.opticks}: the server answers ${reply.status}`);
    return this.#sendText(await reply.blob(), OPTICKS);
  }

  /** bringText sends the book if path is it and the worker has not got it yet. @param {string} path */
  async #bringText(path) {
    if (path === `/texts/${OPTICKS}` && !this.texts.has(path) && this.assets.texts.opticks) await this.#fetchOpticks();
  }

  /** import takes an upload over as a run and opens it. @param {File[]} files @param {string} name */
  async import(files, name) {
    return this.#act("The upload could not be taken over", async () => {
      const { run } = await this.client.request("import", { files, name });
      await this.list();
      await this.open(run.id);
    });
  }

  /** download hands the person a run as a .zip. @param {string} id */
  async download(id) {
    return this.#act("The run could not be packed", async () => {
      const { blob, name } = await this.client.request("download", { run: id });
      const a = document.createElement("a");
      a.href = URL.createObjectURL(blob);
      a.download = `${name}.zip`;
      a.click();
      setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
    });
  }

  // Runs

  listLater = debounced(1500, () => void this.list());

  async list() {
    try {
      this.runs = (await this.client.request("runs", {})).runs;
      this.tell("runs", this.runs);
    } catch (e) {
      this.#report(e, "The kept runs could not be listed");
    }
  }

  /** @param {string} id @param {string} name */
  async rename(id, name) {
    await this.#act("The run could not be renamed", () => this.client.request("rename", { run: id, name }));
    if (this.run?.id === id) this.run.name = name;
    await this.list();
    this.tell("change", null);
  }

  /** @param {string} id */
  async delete(id) {
    await this.#act("The run could not be deleted", () => this.client.request("delete", { run: id }));
    keepDraft(id, null);
    if (this.run?.id === id) this.#shown(null);
    await this.list();
    this.tell("change", null);
  }

  // What the trainer says

  /** @param {import("./client.js").Events["state"]} d */
  #entered({ state, run, error }) {
    if (run) {
      if (run.id !== this.run?.id) this.#shown(run);
      else {
        if (run.step < this.track.step) {
          this.track.truncate(run.step);
          this.tell("run", { truncate: run.step });
        }
        this.run = run;
        this.#smoothed();
      }
    }
    if (this.run) this.run.open = run !== null;
    if (state !== "running") this.stepping = this.pausing = false;
    if (error) this.trouble = { failure: error, title: "Training stopped", run: this.run?.id ?? "", text: "" };
    else if (state === "running" || state === "paused") this.trouble = null;
    // Between the run before and the new one there is none: not worth a word.
    this.#enter(state === "loading" || (state === "idle" && this.starting) ? "opening" : state);
    if (state !== "loading") this.listLater();
    if (state === "paused" || state === "finished" || state === "idle") void this.describe(); // with what its steps took
  }

  /** shown makes run the one of the page's curves. @param {Run | null} run */
  #shown(run) {
    this.run = run;
    this.track = new Track(this.#smoothing);
    this.kept = run !== null && run.step > 0;
    this.tell("run", { truncate: -1 });
    if (run && run.step > 0) {
      const track = this.track;
      this.metrics(run.id).then(
        (m) => {
          if (this.track !== track) return;
          track.load(m);
          this.#smoothed();
          this.tell("run", { truncate: -1, metrics: m });
          this.tell("track", null);
        },
        (e) => this.#report(e, "The run's curves could not be read"),
      );
    }
  }

  /** canHave says whether the open run's layers can have a fault. @param {string} fault */
  canHave(fault) {
    return this.run?.config["model.variant"] === "video" || !this.hello?.faults.some((f) => f.name === fault && f.video);
  }

  // What acts on the open run

  /** Values that were asked for and are not there yet. @type {Map<string, import("./fields.js").Value>} */ sending = new Map();

  /** canChange says whether there is a run whose values can be changed. */
  get canChange() {
    return this.isOpen && this.phase !== "failed" && this.phase !== "opening";
  }

  #smoothing = SMOOTHING;
  /** The run whose speed the description has. */ #clocked = "";

  /** smooth has all losses smoothed as the charts are. @param {number} alpha */
  smooth(alpha) {
    this.#smoothing = this.track.smoothing = alpha;
    this.#smoothed();
    this.tell("track", null);
    this.tell("change", null);
  }

  /** smoothed makes the loss of the run that is shown the curves': the trainer's own is smoothed as they are at first. */
  #smoothed() {
    if (this.run && this.run.step === this.track.step && Number.isFinite(this.track.smooth)) this.run.loss = this.track.smooth;
  }

  /** now is a value as the open run has it, or will in a moment, and else as the settings have it. @param {string} key */
  now(key) {
    return (this.canChange ? (this.sending.get(key) ?? this.run?.config[key]) : undefined) ?? this.settings.get(key);
  }

  /**
   * change is for the controls that act at once: it changes the settings, and the open run. It says what is wrong with the value.
   * @param {string} key
   * @param {unknown} value
   */
  change(key, value) {
    const error = this.settings.set(key, value);
    if (error === "") this.apply([key]);
    return error;
  }

  /** apply brings settings to the open run, from its next step on. @param {string[]} keys */
  apply(keys) {
    if (!this.canChange) return;
    for (const key of keys) {
      const value = this.settings.get(key);
      if (key === "train.fault" && !this.canHave(String(value))) continue; // it waits for the next run
      if (value !== undefined) this.sending.set(key, value);
    }
    this.#flush();
    this.tell("change", null);
  }

  /** @param {string} key @param {import("./fields.js").Value} value */
  async #set(key, value) {
    const { run } = await this.client.request("set", { key, value });
    if (this.run?.id === run.id) this.run = run;
  }

  // A slider gives many values.
  #flush = debounced(120, async () => {
    for (const [key, value] of [...this.sending]) {
      try {
        if (this.canChange) await this.#set(key, value);
      } catch (e) {
        this.problem = { ...failure(e), key };
        this.#unstarted = false;
      }
      if (this.sending.get(key) === value) this.sending.delete(key);
      this.tell("described", this.description);
      this.tell("change", null);
    }
  });

  /**
   * broke is told that the worker is no more. Where it did not even begin, the server may say why.
   * @param {Failure} f
   */
  #broke(f) {
    if (this.#asking) return; // the first word counts
    if (this.phase !== "loading") {
      this.#broken(f);
      return;
    }
    this.#asking = true;
    void this.#missing([this.assets.worker, this.assets.wasm]).then((why) => {
      this.#asking = false;
      this.#broken(why ?? f);
    });
  }

  /** The server is asked whether it still has this page. */ #asking = false;

  /** missing is the failure where a part of the page cannot be had. @param {string[]} parts */
  async #missing(parts) {
    const script = /** @type {HTMLScriptElement | null} */ (document.querySelector("script[type=module][src]"));
    const why = await whyMissing(parts, location.href.split("#")[0], script?.src ?? "");
    return why && failure(why);
  }

  /** @param {Failure} f */
  #broken(f) {
    this.trouble = { failure: f, title: this.hello ? "The trainer stopped" : "The trainer did not start", run: this.run?.id ?? "", text: "" };
    this.#enter("broken");
  }

  /** @param {Phase} phase */
  #enter(phase) {
    if (phase !== "opening") this.preparing = null;
    this.phase = phase;
    if (phase !== "loading" && phase !== "broken") this.#remember();
    this.tell("change", null);
  }

  /** @param {boolean} busy */
  #busy(busy) {
    this.busy = busy;
    this.tell("change", null);
  }

  /**
   * act does something, one at a time, and shows what goes wrong.
   * @param {string} title
   * @param {() => Promise<unknown>} fn
   * @param {string} [run] that it is about; "": none
   * @returns {Promise<boolean>} whether it went well
   */
  async #act(title, fn, run = this.run?.id ?? "") {
    this.#busy(true);
    try {
      await fn();
      this.tell("done", title);
      return true;
    } catch (e) {
      this.#report(e, title, run);
      return false;
    } finally {
      this.#busy(false);
    }
  }

  /** report shows an error where it belongs. @param {unknown} e @param {string} title @param {string} [run] */
  #report(e, title, run = this.run?.id ?? "") {
    const f = failure(e);
    if (this.phase === "broken" || f.message === RESTARTED || f.code === "cancelled") return; // the panel says it already, or nothing is wrong
    if (f.code === "config" && this.settings.has(f.key)) {
      this.problem = f;
      this.#unstarted = true;
      this.tell("described", this.description);
      this.notify({ id: "config", tone: "error", title, text: f.message });
    } else if (f.code === "usage" || f.code === "data" || f.code === "locked" || (f.code === "storage" && this.phase !== "failed")) {
      this.notify({ id: f.code, tone: "error", title, text: f.message });
    } else this.#show({ failure: f, title, run, text: "" });
  }

  /** @param {Trouble} trouble */
  #show(trouble) {
    this.trouble = trouble;
    this.tell("change", null);
  }
}

/**
 * failure is e as the trainer would have told it.
 * @param {any} e
 * @returns {Failure}
 */
export function failure(e) {
  const codes = ["usage", "config", "data", "needs-text", "memory", "shader", "lost", "device", "storage", "non-finite", "locked", "cancelled", "internal", "outdated", "offline", "incomplete"];
  return {
    code: codes.includes(e?.code) ? e.code : "internal", message: String(e?.message ?? e), key: String(e?.key ?? ""), ...(Array.isArray(e?.keys) ? { keys: e.keys } : {}),
    step: Number(e?.step) || 0, checkpoint: Number.isInteger(e?.checkpoint) ? e.checkpoint : -1,
  };
}
