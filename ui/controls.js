// @ts-check
// The line on top: buttons, status, keys, theme.

import { $, button, input, prefs, put } from "./dom.js";
import { about, bytes, count, loss, short } from "./format.js";
import { h } from "./dom.js";

/** @typedef {import("./app.js").App} App */

const STATES = new Map([
  ["loading", "Loading"], ["idle", "Ready"], ["opening", "Preparing"], ["running", "Training"], ["paused", "Paused"], ["finished", "Finished"],
  ["failed", "Failed"], ["broken", "Not running"],
]);

/** Seconds between two lines for the screen reader. */
const QUIET = 20;

/**
 * createControls wires the buttons and keeps the status.
 * @param {App} app
 * @param {{ ready(): boolean }} rail
 * @param {{ start(): void, stop(): void }} prompt
 */
export function createControls(app, rail, prompt) {
  /** @param {string} id @param {() => void} act */
  const wire = (id, act) => button(id).addEventListener("click", () => button(id).hasAttribute("aria-disabled") || act());
  const start = () => void (rail.ready() && app.start());
  wire("start", start);
  wire("restart", start);
  wire("pause", () => void app.pause());
  wire("resume", () => void app.resume());
  wire("step", () => void ((app.isOpen || app.run || rail.ready()) && app.step()));
  wire("stop", () => void app.stop());
  $("skip").addEventListener("click", () => $($("training").hidden ? "numerics" : "charts").focus());

  let said = 0;
  let saidPhase = "";
  const announce = () => {
    const now = performance.now();
    const running = app.phase === "running";
    const phase = app.pausing ? "pausing" : app.phase;
    if (phase === saidPhase && (!running || now - said < QUIET * 1000)) return;
    if (phase === saidPhase && !Number.isFinite(app.track.smooth)) return;
    said = now;
    saidPhase = phase;
    const at = app.run ? `, step ${count(app.run.step)} of ${count(app.steps)}` : "";
    put($("live"), `${app.pausing ? "Pausing" : STATES.get(app.phase)}${at}${Number.isFinite(app.track.smooth) ? `, loss ${loss(app.track.smooth)}` : ""}.`);
  };

  const render = () => {
    const { phase, starting, stepping, run } = app;
    const open = app.isOpen;
    const training = (phase === "running" && !stepping) || phase === "opening";
    document.body.dataset.phase = phase;
    const active = document.activeElement;
    button("start").hidden = training || stepping || phase === "paused";
    button("pause").hidden = !training;
    button("resume").hidden = phase !== "paused" && !stepping;
    const idle = !starting && phase !== "loading" && phase !== "broken" && phase !== "opening";
    const able = { start: idle, pause: phase === "running" && !app.pausing, resume: phase === "paused", step: phase === "paused" || (phase === "idle" && idle && (!run || run.step < run.steps)), stop: open && phase !== "opening", restart: open && idle };
    for (const [id, on] of Object.entries(able)) enable(button(id), on);
    // The button under the person's finger has changed places with another.
    if (active instanceof HTMLButtonElement && active.hidden && active.parentElement?.id === "controls") {
      const next = ["pause", "resume", "start"].map(button).find((b) => !b.hidden);
      if (next?.disabled) {
        next.disabled = false; // it could not have the focus: it is only said to be
        next.setAttribute("aria-disabled", "true");
      }
      next?.focus();
    }
    put($("status-state"), app.pausing ? "Pausing" : (STATES.get(phase) ?? phase));
    const shown = run && (open || phase === "idle") ? run : null;
    put($("status-step"), shown ? h("b", {}, count(shown.step)) : "–", app.steps > 0 ? h("small", {}, ` / ${count(app.steps)}`) : null);
    const progress = /** @type {HTMLProgressElement} */ ($("progress"));
    progress.value = shown && app.steps > 0 ? shown.step / app.steps : 0;
    progress.title = shown ? `Step ${count(shown.step)} of ${count(app.steps)}` : "";
    speed();
    document.title = shown && open ? `${count(shown.step)}/${count(app.steps)}${shown.loss === null ? "" : ` · ${loss(shown.loss)}`} – Innerloop` : "Innerloop";
    announce();
  };

  const speed = () => {
    const rate = app.track.tokensPerSecond;
    const left = app.track.left(app.steps);
    const known = app.isOpen && Number.isFinite(rate);
    put($("status-speed"), known ? short(rate) : "–", known ? h("small", {}, " tokens/s") : null);
    const shown = (app.phase === "running" || app.phase === "paused") && app.run ? { low: left, high: left } : { low: 0, high: 0 };
    put($("status-left"), about(shown, true) || "–");
    $("status-left").title = about(shown) && `${about(shown)}, with validation, samples and checkpoints`;
  };

  const usage = async () => {
    if (document.hidden || app.phase === "loading" || app.phase === "broken") return;
    const memory = app.hello?.storage.kind === "memory";
    try {
      const { bytes: used, quota } = await app.client.request("usage", {});
      put($("status-storage"), bytes(used), memory ? h("span", { class: "badge", title: app.hello?.storage.problem || "A refresh empties it" }, "until refresh") : null);
      $("status-storage").title = `${bytes(used)} of ${bytes(quota)} that the browser offers`;
    } catch {
      put($("status-storage"), memory ? "memory" : "–");
    }
  };
  let asked = -Infinity;
  const usageSoon = () => {
    if (performance.now() - asked < 5000) return;
    asked = performance.now();
    void usage();
  };

  $("controls").addEventListener("focusout", () => queueMicrotask(render));
  let due = 0;
  app.on("change", render);
  app.on("settings", render);
  app.on("ready", () => {
    asked = -Infinity; // the list of runs comes next
  });
  app.on("runs", usageSoon);
  app.on("texts", () => void usage());
  app.on("track", () => {
    due ||= /** @type {any} */ (setTimeout(() => {
      due = 0;
      render();
    }, 200));
  });
  app.client.on("saved", usageSoon);
  app.client.on("memory", ({ wasm, gpu }) => {
    const [n, unit] = bytes(wasm + gpu).split(" ");
    put($("status-memory"), n, h("small", {}, ` ${unit}`));
    $("status-memory").title = `GPU ${bytes(gpu)}, program ${bytes(wasm)}`;
  });
  keys(app, rail, prompt);
  render();
}

/**
 * enable makes a button usable or not. The one that has the focus keeps it: it is only said to be disabled.
 * @param {HTMLButtonElement} b
 * @param {boolean} on
 */
function enable(b, on) {
  const focused = b === document.activeElement && !b.hidden;
  b.disabled = !on && !focused;
  if (!on && focused) b.setAttribute("aria-disabled", "true");
  else b.removeAttribute("aria-disabled");
}

/** @param {App} app @param {{ ready(): boolean }} rail @param {{ stop(): void }} prompt */
function keys(app, rail, prompt) {
  const dialog = /** @type {HTMLDialogElement} */ ($("shortcuts-dialog"));
  const single = input("single-keys");
  single.checked = prefs.get("keys") !== "off";
  single.addEventListener("change", () => prefs.set("keys", single.checked ? null : "off"));
  button("shortcuts").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || !single.checked || document.querySelector("dialog[open]")) return;
    const at = e.target instanceof Element ? e.target : document.body;
    if (at.closest("input:not([type=checkbox], [type=range]), textarea, select, [contenteditable]")) return;
    if (e.key === " ") {
      if (at.closest("button, summary, a, input, [role=tab]")) return; // the space bar is theirs
      if (app.phase === "running") void app.pause();
      else if (app.phase === "paused") void app.resume();
      else return;
    } else if (e.key === ".") {
      if (!button("step").disabled && (app.phase === "paused" || (app.phase === "idle" && (app.run || rail.ready())))) void app.step();
    } else if (e.key === "/") $("prompt").focus();
    else if (e.key === "?") dialog.showModal();
    else return;
    e.preventDefault();
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && !document.querySelector("dialog[open]")) prompt.stop();
  });
}

/**
 * createTheme keeps to the system's theme until the person chooses. changed is called after each change.
 * @param {() => void} changed
 */
export function createTheme(changed) {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const label = () => {
    const other = now() === "dark" ? "light" : "dark";
    button("theme").setAttribute("aria-label", `Use the ${other} theme`);
    button("theme").title = `Use the ${other} theme`;
  };
  const kept = prefs.get("theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button("theme").addEventListener("click", () => {
    const next = now() === "dark" ? "light" : "dark";
    const system = dark.matches ? "dark" : "light";
    if (next === system) delete root.dataset.theme;
    else root.dataset.theme = next;
    prefs.set("theme", next === system ? null : next);
    label();
    changed();
  });
  dark.addEventListener("change", () => {
    label();
    changed();
  });
  label();
}
