// @ts-check
// What went wrong and what can be done: the failure panel, and notices.

import { $, h, icon, input, put } from "./dom.js";
import { count, ended } from "./format.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./app.js").Notice} Notice
 * @typedef {import("./app.js").Failure} Failure
 * @typedef {{ what: string, advice: string }} Kind
 */

/** What each kind of failure means and what helps. @type {Map<string, Kind>} */
const KINDS = new Map(Object.entries({
  "non-finite": { what: "The numbers ran away", advice: "Usually the steps were too large. Halve the learning rate and go on, or start anew with a lower inner learning rate or a longer warm-up." },
  "memory": { what: "The GPU's memory is not enough", advice: "Take fewer sequences a step or shorter ones, or a narrower model; keeping fewer inner states helps too. Closing other tabs that use the GPU makes room." },
  "lost": { what: "The GPU went away", advice: "The system took it: a driver was reset, another program crowded it out, or the machine slept. Close what else uses it and go on, with a smaller model if it happens again." },
  "shader": { what: "The GPU's compiler refused a program", advice: "That is a fault of Innerloop or of the driver, not of your settings. A newer browser or driver may help; please report it with the details." },
  "device": { what: "The GPU refused the work", advice: "Often the model is larger than this GPU allows: take smaller settings. If it goes on, restart the worker." },
  "storage": { what: "The browser's storage refused a file", advice: "Delete runs that you no longer need, or free space on the disk. A private window keeps nothing: use a normal one." },
  "data": { what: "The data cannot be used", advice: "Any file can be trained on, byte by byte, and a sound if it is a WAV file; a checkpoint is a .zip that this page or innerloop made, or model.safetensors with its config.json." },
  "needs-text": { what: "The run's text is missing", advice: "A run reads its text from this browser, and this one is not here, or it is another. Give it the file, by the button or by dropping it on the page." },
  "cancelled": { what: "It was given up", advice: "Nothing is lost: start it again when you like." },
  "locked": { what: "Another tab has this run open", advice: "Close it there, then try again." },
  "config": { what: "A setting does not fit", advice: "Change it on the left, then press Start." },
  "usage": { what: "That is not possible now", advice: "Wait until the trainer is ready, then try again." },
  "outdated": { what: "The page was updated", advice: "The server has a newer page than the one that is open here. Reload to get it." },
  "incomplete": { what: "The server lacks a part of the page", advice: "The page was not put there whole, or is being updated. Reload in a moment; if that does not help, whoever keeps the server has to put the page there anew." },
  "offline": { what: "The server cannot be reached", advice: "A part of the page comes from there. See that the server runs and that this machine has a network, then try again." },
  "internal": { what: "Something broke inside", advice: "That is a fault of Innerloop. Restart the worker to go on; please report it with the details." },
}));

/** What numbers that are not finite mean, by what their origin blames, where that is not steps that were too large. @type {Map<string, Kind>} */
const BLAMED = new Map(Object.entries({
  "loaded": { what: "A weight was no number from the start", advice: "It was so before the run's first step: it came with the checkpoint or the files that the run began with, or with the start values. No learning rate mends that. Begin with another checkpoint, or anew with random weights, and check what wrote that one." },
  "parameter": { what: "The numbers ran away", advice: "It was so before this step, though it was finite when the run began: an update since then made it so, usually because the steps were too large. Go on from a checkpoint, with half the learning rate if it happens again." },
  "given": { what: "The step was given what is no number", advice: "It is named below. If that is a setting, change it on the left; if it is the memory that rows carry on, lower the inner learning rate." },
  "half": { what: "A value is too large for 16 bits", advice: "16-bit floats end at 65,504. In 32 bits the run goes on from the same checkpoint: no learning rate is needed for that." },
  "fault": { what: "The fault that was put in made the numbers run away", advice: "No learning rate makes up for it. Take it out; the Numerics tab's diagnosis tells what it does." },
  "device": { what: "The device computes differently from time to time", advice: "Executed again, the same step was finite: no setting is to blame. Go on from the last checkpoint; if it comes again, try another browser, driver or device." },
}));

/** What is changed where that mends it, and the run goes on. @type {Map<string, { key: string, value: string, label: string }>} */
const MENDS = new Map([
  ["half", { key: "train.precision", value: "f32", label: "Go on in 32 bits" }],
  ["fault", { key: "train.fault", value: "", label: "Take the fault out and go on" }],
]);

/** The failures that no new worker mends. */
const OWN = new Set(["outdated", "incomplete", "offline"]);

/**
 * meaning is what a failure means and what helps, and whether a lower learning rate, another setting or the last checkpoint
 * do.
 * @param {Pick<Failure, "code" | "checkpoint" | "cause">} f
 * @returns {Kind & { halve: boolean, mend: { key: string, value: string, label: string } | undefined, goOn: boolean }}
 */
export function meaning({ code, checkpoint, cause }) {
  const numbers = code === "non-finite";
  const kind = (numbers ? BLAMED.get(cause ?? "") : undefined) ?? KINDS.get(code) ?? { what: "Training stopped", advice: "" };
  const steps = !cause || cause === "operation" || cause === "parameter";
  return { ...kind, halve: numbers && steps, mend: numbers && checkpoint >= 0 ? MENDS.get(cause ?? "") : undefined, goOn: checkpoint >= 0 && cause !== "loaded" };
}

/**
 * createFailure keeps the failure panel.
 * @param {App} app
 * @param {{ lead(key: string): void }} rail
 */
export function createFailure(app, rail) {
  const panel = $("failure");
  let shown = /** @type {unknown} */ (null);
  app.on("change", () => {
    const trouble = app.trouble;
    if (trouble === shown) return;
    shown = trouble;
    const focused = panel.contains(document.activeElement);
    panel.hidden = trouble === null;
    if (focused) (trouble ? panel : $("main")).focus(); // what had the focus goes
    if (!trouble) {
      put(panel);
      return;
    }
    const { failure: f, title, run, text } = trouble;
    const kind = meaning(f);
    const kept = app.phase === "broken" ? (run ? "The run is kept as it was at its last checkpoint." : "What was saved is kept.") : f.checkpoint >= 0 ? `The checkpoint of step ${count(f.checkpoint)} is kept.` : f.step > 0 ? "No checkpoint had been written yet." : "";
    const act = (/** @type {string} */ id, /** @type {string} */ label, /** @type {() => void} */ fn, main = false) => h("button", { type: "button", id, class: main ? "primary" : "", onclick: fn }, label);
    const details = JSON.stringify({ ...f, title, run, version: app.hello?.version, device: app.hello?.device, settings: app.settings.overrides(), browser: navigator.userAgent }, null, 2);
    const goOn = () => (app.phase === "failed" ? void app.resume() : void app.open(run, { go: true }));
    const waiting = f.code === "needs-text";
    put(
      panel,
      h("div", { class: "head" }, icon("bad"), h("h2", {}, f.code === "needs-text" && text ? "This is another text" : kind.what), h("span", { class: "where" }, f.step > 0 ? `step ${count(f.step)}` : title), h("button", { type: "button", class: "quiet close", "aria-label": "Close", hidden: app.phase === "broken", onclick: () => app.dismiss() }, icon("close"))),
      h("p", { class: "message" }, ended(f.message)),
      h("p", {}, kind.advice, " ", kept),
      f.origin ? origin(f.origin) : null,
      h(
        "div",
        { class: "row" },
        waiting ? act("give-text", "Choose the text…", () => input("text-file").click(), true) : null,
        waiting && text ? act("other-text", "Go on with this text anyway", () => void app.open(run, { text, otherText: true })) : null,
        kind.halve ? act("halve-lr", "Halve the learning rate and go on", () => void halve(app, goOn), true) : null,
        kind.mend ? act("mend", kind.mend.label, () => void change(app, kind.mend?.key ?? "", kind.mend?.value ?? "", goOn), true) : null,
        f.cause === "loaded" ? act("other-checkpoint", "Choose another checkpoint…", () => input("upload-files").click(), true) : null,
        f.cause === "loaded" ? act("start-anew", "Start anew with random weights", () => void app.start()) : null,
        !waiting && kind.goOn && run && app.phase !== "broken" ? act("go-on", `Go on from step ${count(f.checkpoint)}`, goOn, !kind.halve && !kind.mend) : null,
        f.code === "memory" && Number(app.settings.get("train.batch_size")) > 1 ? act("halve-batch", "Halve the sequences and start anew", () => {
          app.settings.set("train.batch_size", Math.max(1, Math.floor(Number(app.settings.get("train.batch_size")) / 2)));
          void app.start();
        }) : null,
        f.code === "locked" && run ? act("try-again", "Try again", () => void app.open(run), true) : null,
        f.code === "config" && app.settings.has(f.key) ? act("to-setting", "Show the setting", () => rail.lead(app.fieldOf(f)), true) : null,
        f.code === "outdated" || f.code === "incomplete" ? act("reload", "Reload the page", () => location.reload(), true) : null,
        f.code === "offline" ? act("try-server", "Try again", () => void app.restartWorker(), true) : null,
        !OWN.has(f.code) && (["internal", "device", "shader", "lost"].includes(f.code) || app.phase === "broken") ? act("restart-worker", "Restart the worker", () => void app.restartWorker(), app.phase === "broken") : null,
        act("copy-details", "Copy details", () => void copy(details)),
      ),
      h("details", {}, h("summary", {}, "Details"), h("pre", { tabIndex: 0 }, details)),
    );
  });
}

/** origin is where the first value that is not finite came from. @param {NonNullable<Failure["origin"]>} lines */
function origin(lines) {
  const rows = lines.map(({ what, text }) => h("div", {}, h("dt", {}, what), h("dd", {}, text)));
  return h("details", { id: "origin", open: true }, h("summary", {}, "Where it began, and the values that went in"), h("div", { class: "lines", role: "region", tabIndex: 0, "aria-label": "Where it began" }, h("dl", {}, ...rows)));
}

/** @param {App} app @param {() => void} goOn */
const halve = (app, goOn) => change(app, "train.lr", Number(app.run?.config["train.lr"] ?? app.settings.get("train.lr")) / 2, goOn, "The learning rate could not be changed");

/**
 * change gives a setting of the failed run another value and goes on.
 * @param {App} app @param {string} key @param {string | number} value @param {() => void} goOn @param {string} [failed]
 */
async function change(app, key, value, goOn, failed = "The setting could not be changed") {
  try {
    const { run } = await app.client.request("set", { key, value });
    if (app.run?.id === run.id) Object.assign(app.run, { config: run.config, changes: run.changes });
    app.settings.set(key, value);
    goOn();
  } catch (e) {
    app.notify({ id: "halve", tone: "error", title: failed, text: String(/** @type {any} */ (e)?.message ?? e) });
  }
}

/** @param {string} text */
async function copy(text) {
  const button = $("copy-details");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "See Details"; // the clipboard is closed to the page
    const details = button.closest("section")?.querySelector("details");
    if (details) details.open = true;
  }
}

/** Notices that stay on the page at once. */
const MOST = 4;

/** @param {App} app */
export function createNotices(app) {
  const box = $("notices");
  /** Buttons that are of use at times only. @type {WeakMap<Element, () => boolean>} */
  const offers = new WeakMap();
  app.on("settings", () => {
    for (const b of box.querySelectorAll("button")) b.hidden = offers.get(b)?.() === false;
  });
  app.on("notice", (/** @type {Notice} */ n) => {
    const node = h(
      "div",
      { class: `notice ${n.tone}`, role: n.tone === "error" ? "alert" : "status", "data-notice": n.id, "data-title": n.title },
      icon(n.tone === "info" ? "info" : "bad"),
      h("div", {}, h("b", {}, ended(n.title)), " ", ended(n.text), n.list && n.list.length > 0 ? h("ul", {}, ...n.list.map((t) => h("li", {}, t))) : null),
      ...(n.actions ?? []).map((a) => {
        const b = h("button", { type: "button", class: "small", hidden: a.when?.() === false, onclick: () => {
          close();
          a.act();
        } }, a.label);
        if (a.when) offers.set(b, a.when);
        return b;
      }),
      h("button", { type: "button", class: "quiet close", "aria-label": "Close", onclick: () => close() }, icon("close")),
    );
    const close = () => {
      node.remove();
      (/** @type {HTMLElement | null} */ (box.querySelector(".close")) ?? $("main")).focus();
    };
    for (const old of box.querySelectorAll("[data-notice]")) if (old.getAttribute("data-notice") === n.id) old.remove();
    box.prepend(node);
    while (box.children.length > MOST) box.lastElementChild?.remove();
  });
  // What was wrong and is right now needs no word any more.
  app.on("done", (/** @type {string} */ title) => {
    for (const old of box.querySelectorAll(".error")) if (old.getAttribute("data-title") === title) old.remove();
  });
  app.on("run", () => app.run && box.querySelector('[data-notice="previous"], [data-notice="link-next"]')?.remove());
  app.on("described", () => app.problem ?? app.description?.problem ?? box.querySelector('[data-notice="config"]')?.remove());
  app.client.on("notice", (f) => {
    const title = { lost: "The GPU was lost, and the run goes on.", storage: "Storage:", data: "Data:" }[/** @type {string} */ (f.code)] ?? "";
    app.notify({ id: f.code, tone: f.code === "lost" ? "info" : "warn", title, text: f.message });
  });
  app.client.on("saved", () => box.querySelector('[data-notice="storage"]')?.remove()); // there is room again
  app.on("ready", (/** @type {import("./messages.d.ts").Hello} */ hello) => {
    if (hello.device.backend !== "go" || hello.device.problem === "chosen") box.querySelector('[data-notice="no-gpu"]')?.remove();
    missing(app, hello.device);
    const { kind, problem } = hello.storage;
    if (!isSecureContext) {
      const lacks = [hello.device.problem === "no-webgpu" ? "no GPU: it trains in pure Go, slowly" : "", kind === "memory" ? "no storage: runs and texts are kept in memory only, until you leave" : ""].filter(Boolean);
      app.notify({
        id: "insecure", tone: "warn", title: "This page came over plain http.", text: `Browsers give such a page ${lacks.join("; and ") || "less than others"}. Open it over https, or as http://localhost on the machine that serves it. Download what you want to keep.`,
      });
    } else if (kind === "memory") {
      app.notify({ id: "memory-only", tone: "warn", title: "Runs are kept only until you leave.", text: `${problem || "This browser gives the page no storage."} Private windows do that: download what you want to keep.` });
    } else if (problem) app.notify({ id: "storage", tone: "warn", title: "Storage:", text: problem });
  });
  app.on("device", (/** @type {import("./messages.d.ts").Device} */ d) => missing(app, d));
}

/** How WebGPU is had, by browser. */
const BROWSERS = new Map([
  ["chromium", "Chrome, Edge and other Chromium browsers have it from version 113 on (Android 121); on Linux open chrome://flags/#enable-unsafe-webgpu, and see that hardware acceleration is on in the settings."],
  ["firefox", "Firefox has it from version 141 on Windows and 145 on Macs with Apple's chips; elsewhere set dom.webgpu.enabled to true in about:config, or use Firefox Nightly."],
  ["safari", "Safari has it from version 26 on; before that, in Settings, Feature Flags, WebGPU."],
]);

/** missing tells that there is no GPU and how to get one. @param {App} app @param {import("./messages.d.ts").Device} d */
function missing(app, d) {
  if (d.backend !== "go" || d.problem === "" || d.problem === "chosen") return;
  if (!isSecureContext && d.problem === "no-webgpu") return; // no browser would give it one: the notice of plain http says so
  const agent = navigator.userAgent;
  const mine = agent.includes("Firefox/") ? "firefox" : agent.includes("Chrome/") ? "chromium" : agent.includes("Safari/") ? "safari" : "";
  const others = [...BROWSERS].filter(([name]) => name !== mine).map(([, text]) => text);
  const why = {
    "no-webgpu": "This browser has no WebGPU.",
    "no-adapter": "This browser has WebGPU but finds no GPU that it may use.",
    "software": "This browser's only adapter is a processor that plays a GPU: it takes long to start, and is no faster than pure Go. It can be chosen under “Trains on”. If this machine has a GPU, see that hardware acceleration is on in the browser's settings.",
    "failed": `The GPU could not be opened: ${d.message}.`,
  }[d.problem];
  app.notify({
    id: "no-gpu", tone: "warn", title: "No GPU: it trains in pure Go, slowly.", text: d.problem === "software" ? (why ?? "") : `${why} ${BROWSERS.get(mine) ?? ""}`, list: mine || d.problem === "software" ? [] : others,
    actions: [{ label: "Use the tiny model", act: () => app.settings.preset("tiny"), when: () => app.settings.current() !== "tiny" }],
  });
}
