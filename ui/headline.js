// @ts-check
// What is being trained, whether it goes well, and what to try next: two lines over the charts.

import { $, h, icon, put } from "./dom.js";
import { about, bytes, count, duration, loss } from "./format.js";
import { isSound } from "./fields.js";
import { trouble } from "./health.js";
import { kind, tttLayers } from "./kind.js";
import { judge, likeness } from "./verdict.js";
import { sourceName } from "./rail.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {{ tone: string, word: string }} Chip */
/** @typedef {{ label: string, act: () => void, primary?: boolean, id?: string }} Action */

const ICONS = new Map([["good", "good"], ["flat", "flat"], ["bad", "bad"], ["none", "info"], ["rest", "pause"], ["done", "done"]]);

/** @param {App} app */
export function createHeadline(app) {
  let shown = "";
  /** What the normalisers did in the last step, and the fault that was in. @type {{ d: import("./norms.js").NormsData, fault: unknown } | null} */
  let norms = null;
  const progress = /** @type {HTMLProgressElement} */ ($("load"));

  /** @param {Chip | null} chip @param {string} title @param {string} more @param {Action[]} [actions] */
  const say = (chip, title, more, actions = []) => {
    const now = JSON.stringify([chip, title, more, actions.map((a) => a.label)]);
    if (now === shown) return;
    shown = now;
    const verdict = $("verdict");
    verdict.hidden = chip === null;
    verdict.className = chip ? `tone-${chip.tone}` : "";
    if (chip) put(verdict, icon(ICONS.get(chip.tone) ?? "info"), chip.word);
    put($("headline-title"), title);
    put($("headline-more"), more);
    const box = $("headline-actions");
    const focused = box.contains(document.activeElement);
    put(box, ...actions.map((a) => h("button", { type: "button", id: a.id, class: a.primary ? "primary" : "", onclick: a.act }, a.label)));
    if (focused) /** @type {HTMLElement | null} */ (box.firstElementChild ?? document.querySelector("#controls .primary:not([hidden])"))?.focus();
  };

  const render = () => {
    const { phase, run, track, settings } = app;
    $("headline").hidden = app.trouble !== null && (phase === "failed" || phase === "broken");
    progress.hidden = phase !== "loading";
    switch (phase) {
      case "loading":
        return say(null, "Loading the trainer", "It runs in this tab; nothing that you give it leaves this machine.");
      case "broken":
        return say(null, "The trainer is not running", "What was saved is kept.");
      case "opening":
        progress.hidden = !(app.preparing && app.preparing.total > 0);
        if (app.preparing && app.preparing.total > 0) progress.value = app.preparing.done / app.preparing.total;
        return say(null, "Making the model ready", stage(app), app.preparing ? [{ label: "Cancel", id: "cancel", act: () => void app.cancel() }] : []);
      case "idle":
        if (run) {
          return say({ tone: "rest", word: "Stopped" }, `${run.name} is kept at step ${count(run.step)} of ${count(run.steps)}.`, "Go on with it, or change the settings and press Start for another run.", [
            ...(run.step < run.steps ? [{ label: "Go on", act: () => void app.open(run.id, { go: true }) }] : []),
            { label: "Download", act: () => void app.download(run.id) },
          ]);
        }
        return say(null, `Press Start: ${kind((k) => settings.get(k), app.description?.parameters)} learns ${aim(app, (k) => settings.get(k))}.`, promise(app), long(app) ? [{ label: "Use the tiny model", id: "use-tiny", act: () => settings.preset("tiny") }] : []);
    }
    if (!run) return;
    const get = (/** @type {string} */ k) => run.config[k];
    const sound = isSound(get);
    const what = `${capital(kind(get, run.parameters))} learns ${aim(app, get)}`;
    const val = track.evals.at(-1);
    const now = Number.isFinite(track.smooth) ? track.smooth : (run.loss ?? NaN);
    const state = Number.isFinite(now) ? `Loss ${loss(now)} nats a byte, smoothed, at step ${count(run.step)}: as if choosing among ${likeness(now)} each time; blind guessing has 256.${val ? ` On unseen text ${loss(val.loss)} at step ${count(val.step)}.` : ""}` : "The first losses are on their way.";
    const wrong = trouble(String(get("train.fault") ?? ""), norms?.d.run === run.id && norms.fault === get("train.fault") ? norms.d : null);
    const note = wrong ? ` ${wrong.why}` : "";
    if (phase === "finished") {
      const plain = get("model.ttt_layer_type") === "linear" && tttLayers(get) > 0;
      return say({ tone: "done", word: "Finished" }, `${count(run.step)} steps done. Now let it ${sound ? "play: Continue, and it goes on from silence" : "write: begin a text, and it goes on"}.`, `${state}${note} Lower still: more steps, a wider model${plain ? ", a two-layer memory" : tttLayers(get) === 0 ? ", layers that learn while they read" : ""}.`, [
        { label: `Train ${count(Math.max(100, run.steps))} more`, act: () => void app.more(Math.max(100, run.steps)), id: "more" },
        ...(plain ? [{ label: "Try TTT-MLP", act: () => { settings.preset("mlp"); void app.start(); } }] : []),
        { label: "Download", act: () => void app.download(run.id) },
      ]);
    }
    if (phase === "failed") return say({ tone: "bad", word: "Failed" }, `${what}.`, `${state}${note}`);
    if (phase === "paused") {
      if (app.kept && run.step > 0 && !track.measured) {
        const again = run.reached - run.step;
        const where = again > 0 ? `${run.name} is here, as it was last saved: step ${count(run.step)} of ${count(run.steps)}.` : `${run.name} is here as you left it: step ${count(run.step)} of ${count(run.steps)}.`;
        const repeated = again > 1 ? `Steps ${count(run.step + 1)} to ${count(run.reached)} came after that and are repeated. ` : again === 1 ? `Step ${count(run.reached)} came after that and is repeated. ` : "";
        return say({ tone: "rest", word: "Paused" }, where, `${repeated}${state}${note}`, [{ label: "Resume", primary: true, id: "go-on", act: () => void app.resume() }]);
      }
      return say({ tone: "rest", word: "Paused" }, `${what}.`, `${state}${note} Step goes on by one; Resume, or the space bar, goes on.`);
    }
    if (app.pausing) return say({ tone: "rest", word: "Pausing" }, `${what}.`, pausing(track.stepSeconds));
    if (wrong) return say(wrong, `${what}.`, `${state}${note}`);
    const verdict = judge(track, run.steps);
    say(verdict, `${what}.`, `${state} ${verdict.why || (verdict.tone === "good" ? (sound ? "Hear its samples, or let it go on." : "Try it: begin a text, and it goes on.") : sound ? "Its first sounds come soon." : "Its first words come soon.")}`);
  };

  let due = 0;
  const soon = () => {
    due ||= /** @type {any} */ (setTimeout(() => {
      due = 0;
      render();
    }, 250));
  };
  for (const topic of /** @type {const} */ (["change", "settings", "described", "run"])) app.on(topic, render);
  app.on("track", soon);
  app.client.on("norms", (d) => {
    norms = { d, fault: app.run?.config["train.fault"] };
    soon();
  });
  app.client.on("progress", ({ loaded, total }) => {
    if (total > 0) progress.value = Math.min(1, loaded / total);
    put($("headline-more"), total > 0 && loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : "Starting.");
    shown = "";
  });
  render();
}

/** @param {App} app what a run waits for that is made ready */
function stage(app) {
  const p = app.preparing;
  switch (p?.what) {
    case "text":
      return "Its text is laid out.";
    case "programs":
      return "Its step is recorded: what is computed, in which order.";
    case "kernels":
      return p.total > 0 ? `The GPU's programs are compiled: ${count(p.done)} of ${count(p.total)}.` : "What it computes is made ready for this device.";
    case "weights":
      return "Its weights are laid out.";
    case "checkpoint":
      return "Its checkpoint is read.";
  }
  return "Its text is laid out and the GPU's programs are compiled: a few seconds.";
}

/** Seconds from which on a step may be given up: the trainer's patience. */
const PATIENCE = 2;

/** pausing says what a pause waits for. @param {number} seconds that a step takes */
function pausing(seconds) {
  if (!(seconds > 0.5)) return "The step under way ends first, then the run is saved.";
  const time = `which takes about ${duration(Math.round(seconds))}`;
  return seconds > PATIENCE ? `Pausing within this step, ${time}: what of it is not done is given up, and made again on Resume. Then the run is saved.` : `Pausing after this step, ${time}. Then the run is saved.`;
}

/** @param {string} s */
const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);

/** @param {App} app @param {(key: string) => import("./fields.js").Value | undefined} get */
function aim(app, get) {
  const file = String(get("data.file") ?? "");
  const name = sourceName(app, get);
  if (isSound(get)) return file ? `to sound like ${name}` : "to play notes";
  if (file) return `to write like ${name}`;
  return (get("data.task") ?? "stories") === "stories" ? "to write stories" : name === "sums" ? "to do sums" : name;
}

/** Seconds from which a run is long for a first one. */
const LONG = 900;

/** @param {App} app */
const long = (app) => (app.description?.run.high ?? 0) > LONG && app.settings.current() !== "tiny";

/** @param {App} app */
function promise(app) {
  const d = app.description;
  const get = (/** @type {string} */ k) => app.settings.get(k);
  const file = String(get("data.file") ?? "");
  const size = file ? app.texts.get(file) : Number(get("data.story_bytes"));
  const time = d && !d.problem ? (d.run.high > 0 ? ` That takes ${about(d.run)} here.` : " How long that takes here is not known before the first steps.") : "";
  return `It reads ${size ? `${bytes(size)} of ` : ""}${sourceName(app)}, ${isSound(get) ? "sample by sample" : "byte by byte"}, and guesses each next one. ${tttLayers(get) === 0 ? "Attention alone: no layer learns while it reads." : "The memory of its layers is a small model that learns while it reads."}${time}`;
}
