// @ts-check
// The kept runs: what each is, how it differs, and what can be done with it.

import { $, h, icon, put } from "./dom.js";
import { bytes, count, date, loss, value as show } from "./format.js";
import { BY_KEY } from "./fields.js";
import { beginning, summary } from "./changes.js";
import { differences } from "./settings.js";
import { sourceName } from "./rail.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./messages.d.ts").Run} Run
 * @typedef {import("./messages.d.ts").Metrics} Metrics
 */

/** Keys that say nothing about a run. */
const SILENT = new Set(["device", "train.log_every", "train.save_every", "train.save_seconds", "train.keep_checkpoints", "sample.prompts", "sample.tokens", "sample.seconds", "sample.sound_temperature", "sample.top_k", "sample.temperature"]);
/** Differences that are shown before "more". */
const FEW = 5;

/**
 * createRuns keeps the list.
 * @param {App} app
 * @param {{ overlay(runs: { id: string, name: string, metrics: Metrics }[]): void }} charts
 */
export function createRuns(app, charts) {
  const list = $("runs");
  /** Curves that are drawn behind the open run's, in the order in which they were chosen. @type {Map<string, Metrics>} */
  const over = new Map();
  /** @type {Map<string, { node: HTMLElement, update(run: Run): void }>} */
  const items = new Map();

  const draw = () => charts.overlay([...over].map(([id, metrics]) => ({ id, name: app.runs.find((r) => r.id === id)?.name ?? id, metrics })));
  /** @param {string} id @param {boolean} on */
  const overlay = async (id, on) => {
    if (!on) over.delete(id);
    else {
      try {
        over.set(id, await app.metrics(id));
      } catch (e) {
        app.notify({ id: "overlay", tone: "error", title: "The run's curves could not be read.", text: String(/** @type {any} */ (e)?.message ?? e) });
      }
    }
    draw();
    render();
  };

  const item = (/** @type {Run} */ first) => {
    let run = first;
    const name = h("input", {
      type: "text", class: "run-name", value: run.name, maxLength: 200, spellcheck: false, "aria-label": "Name of the run",
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        if (e.key === "Enter") name.blur();
        if (e.key === "Escape") {
          name.value = run.name;
          name.blur();
        }
      },
      onblur: () => {
        const next = name.value.trim();
        if (next && next !== run.name) void app.rename(run.id, next);
        else name.value = run.name;
      },
    });
    const state = h("span", { class: "badge" });
    const facts = h("p", { class: "facts" });
    const apart = h("p", { class: "apart" });
    const changed = h("p", { class: "apart changed", hidden: true });
    const wrong = h("p", { class: "problem", hidden: true });
    const box = h("input", { type: "checkbox", class: "overlay", onchange: () => void overlay(run.id, box.checked) });
    const key = h("span", { class: "letter" });
    const shown = h("label", { class: "check" }, box, "overlay ", key);
    const act = (/** @type {string} */ cls, /** @type {import("./dom.js").Child[]} */ label, /** @type {() => void} */ fn, title = "") => h("button", { type: "button", class: `small ${cls}`, onclick: fn, title, "aria-label": title || null }, ...label);
    const open = act("open", ["Open"], () => void app.open(run.id));
    const use = act("use", ["Use settings"], () => {
      app.settings.replace(Object.entries(beginning(run)));
      if (run.changes.length > 0) app.notify({ id: "began", tone: "info", title: "These are the settings that it began with.", text: `${run.name} was changed in its course, ${summary(run.changes)}: a run of them is the same up to there.` });
    });
    const down = act("down quiet", [icon("down")], () => void app.download(run.id), `Download ${run.name}`);
    const bin = act("bin quiet", [icon("bin")], () => ask(app, run), `Delete ${run.name}`);
    const node = h("li", { class: "run", "data-run": run.id }, h("div", { class: "row" }, name, state), facts, apart, changed, wrong, h("div", { class: "row actions" }, open, use, shown, down, bin));
    const update = (/** @type {Run} */ now) => {
      run = now;
      const mine = app.run?.id === run.id;
      const going = mine && app.isOpen;
      node.classList.toggle("mine", mine);
      if (document.activeElement !== name) name.value = run.name;
      for (const [b, verb] of /** @type {const} */ ([[down, "Download"], [bin, "Delete"]])) b.setAttribute("aria-label", `${verb} ${run.name}`), (b.title = `${verb} ${run.name}`);
      state.hidden = !going;
      put(state, going ? (app.phase === "running" ? "training" : "open") : "");
      const at = mine && app.run ? app.run : run; // one number for one moment
      put(facts, `step ${count(at.step)} / ${count(run.steps)}`, ...(at.loss === null ? [] : [" · ", h("span", { title: "The training loss of that step, smoothed" }, `loss ${loss(at.loss)}`)]), ...(at.valLoss === null ? [] : [" · ", h("span", { title: "The last validation loss" }, `val ${loss(at.valLoss)}`)]), h("br"), date(run.created), run.bytes > 0 ? ` · ${bytes(run.bytes)}` : "");
      const base = mine ? null : (app.run?.config ?? (app.description?.config ?? null));
      const diff = base ? differences(run.config, base).filter((d) => !SILENT.has(d.key)) : [];
      apart.hidden = mine;
      put(apart, ...(diff.length === 0 ? [app.run ? "The same settings as the open run." : `${sourceName(app, (k) => run.config[k])}.`] : diff.slice(0, FEW).flatMap((d, i) => [i > 0 ? " · " : "", h("span", { title: `${d.key}: ${show(d.a)}, here ${show(d.b)}` }, `${BY_KEY.get(d.key)?.label ?? d.key} `, h("b", {}, show(d.a)))])), diff.length > FEW ? ` · ${diff.length - FEW} more` : "");
      const changes = going && app.run ? app.run.changes : run.changes;
      changed.hidden = changes.length === 0;
      put(changed, changes.length === 0 ? "" : `Changed: ${summary(changes)}.`);
      wrong.hidden = run.problem === "";
      put(wrong, run.problem);
      open.hidden = going;
      open.disabled = run.problem !== "" || app.busy;
      put(open, run.step < run.steps ? "Go on" : "Open");
      shown.hidden = mine;
      box.checked = over.has(run.id);
      const place = [...over.keys()].indexOf(run.id);
      key.className = place < 0 ? "letter" : `letter c${3 + (place % 6)}`;
      put(key, place < 0 ? "" : String.fromCharCode(65 + (place % 26)));
      box.setAttribute("aria-label", `Draw the curves of ${run.name}`);
    };
    return { node, update };
  };

  const render = () => {
    const runs = app.runs;
    const ids = new Set(runs.map((r) => r.id));
    let lost = false;
    for (const [id, it] of items) {
      if (ids.has(id)) continue;
      it.node.remove();
      items.delete(id);
      lost = over.delete(id) || lost;
    }
    const mine = app.run?.id ?? "";
    if (over.delete(mine)) lost = true; // it is drawn in front now
    if (lost) draw();
    runs.forEach((run, i) => {
      let it = items.get(run.id);
      if (!it) items.set(run.id, (it = item(run)));
      it.update(run);
      if (list.children[i] !== it.node) list.insertBefore(it.node, list.children[i] ?? null);
    });
    $("runs-empty").hidden = runs.length > 0;
    put($("runs-count"), runs.length > 0 ? String(runs.length) : "");
  };
  app.on("runs", render);
  app.on("change", render);
  app.on("described", () => app.run || render());
}

/** ask deletes a run if the person means it. @param {App} app @param {Run} run */
function ask(app, run) {
  const dialog = /** @type {HTMLDialogElement} */ ($("delete-dialog"));
  put($("delete-more"), h("b", {}, run.name), `, ${count(run.step)} steps, ${bytes(run.bytes)}: its curves and checkpoints go for ever.${app.run?.id === run.id && app.isOpen ? " It is open now." : ""}`);
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes") void app.delete(run.id).then(() => $("tab-runs").focus());
  }, { once: true });
  dialog.showModal();
}
