// @ts-check
// The numerics panel: what the guarded normalisation does in each head, its eps, faults to put in, the diagnosis that names
// them, and the history of every probe.
import { Column, Pacer, nearest, spread } from "./columns.js";
import { Curve, Theme } from "./curve.js";
import { createDiagnosis } from "./diagnosis.js";
import { h, help, put } from "./dom.js";
import { Figure, text } from "./figure.js";
import { count } from "./format.js";
import { Group } from "./group.js";
import { HeatMap } from "./heatmap.js";
import { NormHistory, SERIES, brief, print } from "./norms.js";
import { csv } from "./table.js";
import { tick } from "./ticks.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./norms.js").NormsData} NormsData */
/** @typedef {ReturnType<typeof createNumerics>} Numerics */

/** Milliseconds between two pictures. */
const PACE = 200;
/** Marks that are listed. */
const LISTED = 8;

/**
 * createNumerics fills root, the tab's panel.
 * @param {App} app
 * @param {HTMLElement} root
 */
export function createNumerics(app, root) {
  /** The newest probes of the run that is shown. @type {NormsData | null} */
  let last = null;
  const history = new NormHistory();

  // What the panel is about: the run, or else what the settings would make.
  const shown = () => (app.run && (app.isOpen || last !== null) ? app.run : null);
  const get = (/** @type {string} */ key) => shown()?.config[key] ?? app.settings.get(key);
  const fault = () => String(shown()?.config["train.fault"] ?? "");

  const heat = new HeatMap(() => paint());
  const at = h("span", { class: "note", id: "norms-at" });
  const waiting = h("p", { class: "num-waiting" }, "Layer by head, from the first step on: the smallest standard deviation, |z| against its bound, the share of rows with a gain above 100, and the largest gain 1/(std+eps).");
  const map = h("section", { class: "num-card", id: "norms", "aria-labelledby": "norms-title" },
    h("div", { class: "num-head" }, h("h3", { id: "norms-title" }, "Normaliser by layer and head"), help("norms", "the heat map"), at, heat.choice), waiting, heat.element);
  const missing = h("section", { class: "num-card num-missing", "aria-labelledby": "missing-title" });
  const eps = h("section", { class: "num-card", id: "eps-card", "aria-labelledby": "eps-title" },
    h("h3", { id: "eps-title", class: "for-readers" }, "eps"), h("div", { id: "numerics-eps" }), h("p", { class: "note" }, "Acts on the next step: eps is data, and nothing is compiled anew."));
  const faults = h("fieldset", { class: "num-card", id: "faults" });
  const diagnosis = h("section", { class: "num-card", "aria-label": "Diagnosis" });
  const tables = h("section", { class: "num-card", id: "layers-table", "aria-label": "Layers" });
  const past = createHistory(history, () => app.run?.name ?? "run");
  put(root, missing, map, h("div", { class: "num-pair" }, h("div", { class: "num-column" }, eps, faults), diagnosis), tables, past.element);
  createDiagnosis(app, diagnosis, tables, fault);

  // Faults
  /** @type {Map<string, HTMLInputElement>} */
  const radios = new Map();
  const why = h("p", { class: "note", id: "faults-why" });
  const state = h("p", { class: "note", role: "status" });
  const buildFaults = () => {
    const list = [{ name: "", about: "the layer as it should be", video: false }, ...(app.hello?.faults ?? [])];
    radios.clear();
    put(faults, h("legend", {}, h("span", {}, "Faults to put in"), help("train.fault", "a fault")), state, why,
      ...list.map(({ name, about }) => {
        const radio = h("input", { type: "radio", name: "fault", value: name, onchange: () => app.change("train.fault", name) });
        radios.set(name, radio);
        return h("label", { class: "fault" }, radio, h("span", {}, h("b", {}, name || "none"), " ", h("small", {}, about)));
      }));
    showFaults();
  };
  const showFaults = () => {
    // The open run keeps its layers: a fault that they cannot have waits for the next run.
    const chosen = String(app.settings.get("train.fault") ?? "");
    const later = app.isOpen && !app.canHave(chosen);
    const set = later ? chosen : String(app.now("train.fault") ?? "");
    const video = get("model.variant") === "video";
    for (const f of app.hello?.faults ?? []) {
      const radio = radios.get(f.name);
      if (!radio) continue;
      if (f.video && !video) radio.setAttribute("aria-describedby", why.id);
      else radio.removeAttribute("aria-describedby");
    }
    for (const [name, radio] of radios) radio.checked = name === set;
    text(why, video ? "" : "Most are faults of the target's normaliser, which only the video variant has: they bring it with them.");
    why.hidden = video;
    const brings = !later && !app.isOpen && chosen !== "" && !app.settings.differs("model.variant") && (app.hello?.faults ?? []).some((f) => f.name === chosen && f.video);
    const differs = app.isOpen && fault() !== set;
    const problem = app.problem?.key === "train.fault" ? app.problem.message.replace(/^(train|model): /, "") : "";
    text(state, later ? `The open run's layers have no normaliser to put ${chosen} into: it comes with the next Start, and brings the video variant.` : brings ? `${chosen} brings the video variant with it.` : problem || (!differs ? "" : app.phase === "failed" ? "Acts on the next Start." : "The run is being loaded anew with it."));
    state.classList.toggle("problem", problem !== "" && !later && !brings);
    state.hidden = state.textContent === "";
  };

  // Without a normaliser
  const showMissing = () => {
    const video = get("model.variant") === "video";
    missing.hidden = video;
    map.hidden = eps.hidden = past.element.hidden = !video;
    if (video) return;
    const chosen = app.settings.get("model.variant") === "video";
    const act = chosen && app.isOpen
      ? h("button", { type: "button", id: "hybrid", class: "primary", onclick: () => void app.start() }, "Start a run with it")
      : h("button", { type: "button", id: "hybrid", class: "primary", disabled: !app.hello, onclick: () => app.settings.preset("hybrid", app.hello?.device.software) }, "Hybrid video model");
    const sentence = "This model's layers have no normaliser of the target to look at: the video variant has, and explodes in a well-known way when something is wrong with it.";
    if (missing.dataset.now === `${chosen} ${app.isOpen} ${!app.hello}`) return;
    missing.dataset.now = `${chosen} ${app.isOpen} ${!app.hello}`;
    const focused = missing.contains(document.activeElement);
    put(missing, h("h3", { id: "missing-title" }, "No normaliser here"), h("p", {}, sentence, chosen && app.isOpen ? " The settings have it now; the open run has not." : ""), h("div", { class: "row" }, act),
      h("p", { class: "note" }, "The diagnosis works all the same: it looks for tokens that see the future, and at the inner norm's parameters."));
    if (focused) act.focus();
  };

  // Pictures, when they can be seen
  const paint = () => pace.ask();
  const pace = new Pacer(() => {
    if (root.hidden) return;
    waiting.hidden = last !== null;
    heat.element.hidden = heat.choice.hidden = last === null;
    text(at, last ? `step ${count(last.step)} · eps ${print(last.eps)} · bound ${brief(last.bound)}` : "");
    heat.update(last);
    past.show(heat.cell, last ? heat.nameOf(heat.cell) : "");
  }, PACE);
  new ResizeObserver(() => root.hidden || pace.ask(true)).observe(root);

  const refresh = () => {
    showMissing();
    showFaults();
    paint();
  };
  app.on("ready", buildFaults);
  app.on("change", refresh);
  app.on("settings", refresh);
  /** The run that the history is of, or "". */
  let of = "";
  /** Probes that came while the run's log was read; null: it is not. @type {{ d: NormsData, fault: string }[] | null} */
  let early = null;
  const restore = async (/** @type {string} */ run) => {
    /** @type {{ d: NormsData, fault: string }[]} */
    const mine = [];
    early = mine;
    try {
      const past = await app.norms(run);
      if (early === mine && past.step.length > 0) history.load(past);
    } catch (e) {
      app.notify({ id: "norms", tone: "warn", title: "The history of the normalisers could not be read.", text: String(/** @type {any} */ (e)?.message ?? e) });
    }
    if (early !== mine) return; // another run is shown by now
    for (const x of mine) history.add(x.d, x.fault);
    early = null;
    paint();
  };
  app.on("run", ({ truncate }) => {
    const { run } = app;
    if (truncate >= 0) history.truncate(truncate);
    else if (of !== (run?.id ?? "")) {
      of = run?.id ?? "";
      last = null;
      early = null;
      history.clear();
      if (run && run.step > 0 && run.config["model.variant"] === "video") void restore(of);
    }
    refresh();
  });
  app.client.on("norms", (d) => {
    if (d.run !== app.run?.id) return;
    last = d;
    if (early) early.push({ d, fault: fault() });
    else history.add(d, fault());
    paint();
  });
  buildFaults();
  refresh();

  return {
    /** retheme reads the style sheet's colours anew. */
    retheme: () => past.retheme(),
  };
}

/**
 * createHistory makes the small charts.
 * @param {NormHistory} history @param {() => string} name of the run
 */
function createHistory(history, name) {
  const element = h("section", { id: "norm-history", class: "charts-root", "aria-labelledby": "norm-history-title" });
  const theme = new Theme(element);
  const group = new Group(9);
  let cell = 0;
  let of = "";
  const reset = h("button", { type: "button", class: "small", hidden: true, onclick: () => group.show(null) }, "Show all steps");
  const marks = h("p", { class: "note", id: "norm-marks" });
  const legend = h("p", { class: "note", id: "norm-legend" });

  const parts = SERIES.map((s) => {
    const worst = new Column();
    const own = new Column();
    const curve = new Curve(history.step, worst, { label: "worst of all heads", colour: "--c1", width: 1.5 });
    const head = new Curve(history.step, own, { label: "chosen head", colour: "--c2", width: 1.25, dash: [5, 3] });
    const value = (/** @type {number} */ x) => (Number.isFinite(x) ? brief(x) : "–");
    const figure = new Figure(group, theme, {
      key: s.key, title: s.title, unit: s.unit, empty: "From the first step on.", sketch: "M2 30C20 10 60 14 98 12", small: true,
      axes: { x: "step", gutter: 46, log: s.axis === "log", zero: s.axis === "zero", tick: (v, d) => (Math.abs(v) >= 1e4 ? brief(v).replace(".0e", "e") : tick(v, d)) },
      now: (x) => value(curve.read(x)), of: name, file: () => `innerloop-${history.run || "run"}-${s.key}`,
      summary: () => `${s.title}, worst of all heads: ${value(worst.last)} ${s.unit} at step ${count(history.step.last)}, ${value(worst.data[0])} at step ${count(history.step.data[0])}.`,
      table: () => ({
        caption: `${s.title} of ${name()}`,
        fields: [{ label: "Step", text: (i) => count(history.step.data[i]) }, { label: "Worst", text: (i) => value(worst.data[i]) }, ...(own.length > 0 ? [{ label: of, text: (/** @type {number} */ i) => value(own.data[i]) }] : [])],
        rows: spread(history.step.length, 200),
      }),
      csv: () => csv(["run", "step", `${s.header}_worst`, `${s.header}_${of.replace(/\W+/g, "_")}`], lines()),
    });
    function* lines() {
      for (let i = 0; i < history.step.length; i++) yield [name(), history.step.data[i], worst.data[i], own.length > 0 ? own.data[i] : undefined];
    }
    figure.plot.replace([head, curve]);
    return { series: s, figure, worst, own, curve };
  });
  put(element,
    h("div", { class: "num-head" }, h("h3", { id: "norm-history-title" }, "Every probe over the steps"), help("norm-history", "the history"), legend, reset),
    h("div", { class: "num-charts" }, ...parts.map((p) => p.figure.element)), marks);

  const readings = () => {
    for (const { figure, curve } of parts) {
      const now = curve.read(group.cursor);
      text(figure.now, figure.plot.empty ? "" : Number.isNaN(now) ? "–" : brief(now)); // an older log does not say all
    }
  };
  group.drawn = () => {
    for (const p of parts) p.figure.update();
  };
  group.moved = () => {
    for (const p of parts) p.figure.moved();
    readings();
    legendOf();
  };
  group.zoomed = () => {
    reset.hidden = !group.zoom;
  };
  const legendOf = () => {
    const { cursor } = group;
    const i = cursor === null ? -1 : nearest(history.step.data, history.step.length, cursor);
    text(legend, history.step.length === 0 ? "" : `solid: the worst of all heads${history.own && of ? `, dashed: ${of}` : ""}${i >= 0 ? ` · step ${count(history.step.data[i])}` : ""}`);
  };

  return {
    element,

    /** show draws the history. @param {number} i the head that is chosen @param {string} called */
    show(i, called) {
      cell = i;
      of = called;
      for (const { series, figure, worst, own } of parts) {
        history.read(series, -1, worst);
        if (of) history.read(series, cell, own);
        else own.truncate(0);
        if (series.axis !== "zero") {
          const log = series.axis === "log" ? !negative(worst) : decades(worst);
          if (log !== (figure.plot.axes.log ?? false)) figure.plot.log(log);
          figure.plot.axes.zero = !log;
        }
      }
      group.marks = history.marks.map((m) => m.step);
      const listed = history.marks.slice(-LISTED);
      const before = history.marks.length - listed.length;
      put(marks, ...(listed.length === 0 ? [] : ["Marked: ", before > 0 ? `${before} earlier; ` : "", ...listed.map((m, k) => h("span", { class: "mark" }, h("b", {}, String(before + k + 1)), ` ${m.label}, seen from step ${count(m.step)} on`))]));
      legendOf();
      group.redraw();
    },

    retheme() {
      theme.forget();
      group.redraw(true);
    },
  };
}

/** negative says whether a value is below 0: a logarithmic axis would not show it. @param {Column} c */
function negative(c) {
  for (let i = 0; i < c.length; i++) if (c.data[i] < 0) return true;
  return false;
}

/** decades says whether values above 0 are decades apart. @param {Column} c */
function decades(c) {
  let low = Infinity;
  let high = 0;
  for (let i = 0; i < c.length; i++) {
    const x = c.data[i];
    if (!(x > 0 && x < Infinity)) continue;
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  return high > 100 * low;
}
