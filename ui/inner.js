// @ts-check
// The inner loop while it reads: reconstruction loss against the position in a held-out sequence, under the learned start
// W0, the state before a mini-batch's step and the state after it, for each layer and head.
import { Column, spread } from "./columns.js";
import { Curve, Theme } from "./curve.js";
import { h, put } from "./dom.js";
import { Figure, text } from "./figure.js";
import { count, digits, plural } from "./format.js";
import { Grid, nameOf } from "./grid.js";
import { Group } from "./group.js";
import { Probe } from "./probe.js";
import { csv } from "./table.js";
import { tick } from "./ticks.js";

/** @typedef {import("./probe.js").InnerData} InnerData */
/** @typedef {import("./grid.js").Cell} Cell */
/** @typedef {ReturnType<typeof createInner>} Inner */

/** change is part as a signed percentage: −19.0 %. @param {number} part */
const change = (part) => (Number.isFinite(part) ? `${part > 0 ? "+" : part < 0 ? "−" : "±"}${Math.abs(100 * part).toFixed(Math.abs(part) < 9.995 ? 1 : 0)} %` : "–");
/** share is part as a percentage: 0.42 %. @param {number} part */
const share = (part) => (Number.isFinite(part) ? `${digits(100 * part)} %` : "–");

const sentences = {
  loss: "Below W₀: the layer learned from what it has read so far. Wₜ₋₁ has not seen these tokens yet, Wₜ has.",
  drift: "How far the state has moved from its learned start, as a part of it: ‖Wₜ − W₀‖ / ‖W₀‖.",
};

/**
 * createInner fills root with the chart.
 * @param {HTMLElement} root
 */
export function createInner(root) {
  const theme = new Theme(root);
  const group = new Group(1);
  /** @type {Probe | null} */
  let probe = null;
  /** The run's first probe that was seen here. @type {Probe | null} */
  let first = null;
  /** @type {Cell} */
  let cell = { layer: -1, head: -1 };
  /** @type {"loss" | "drift"} */
  let mode = "loss";

  const x = new Column();
  const columns = { start: new Column(), before: new Column(), after: new Column(), drift: new Column(), ghost: new Column() };
  const start = new Curve(x, columns.start, { label: "W₀, the learned start", colour: "--ink-2", width: 1.5, dash: [5, 4], tag: "W₀" });
  const before = new Curve(x, columns.before, { label: "Wₜ₋₁, before the step", colour: "--c2", width: 1.5, dash: [1, 3], points: true, tag: "Wₜ₋₁" });
  const after = new Curve(x, columns.after, { label: "Wₜ, after it", colour: "--c1", width: 2, points: true, tag: "Wₜ" });
  const ghost = new Curve(x, columns.ghost, { label: "Wₜ", colour: "--c4", width: 1.25, dash: [8, 3, 1, 3], fit: false });
  const drift = new Curve(x, columns.drift, { label: "drift", colour: "--c3", width: 2, points: true, tag: "Wₜ" });

  const figure = new Figure(group, theme, {
    key: "inner-loop", title: "Inner loop", unit: "reconstruction loss", empty: "Here the model learns while it reads: each layer's loss against the position in a text, from the first probe on.",
    sketch: "M2 8H98M2 8C20 18 40 22 98 24M2 14C20 26 40 30 98 32",
    axes: { x: "token", gutter: 44 },
    of: () => nameOf(cell),
    file: () => `innerloop-${probe?.run ?? "run"}-inner-loop-step-${probe?.step ?? 0}`,
    summary: () => {
      if (!probe) return "";
      const means = `reconstruction loss ${digits(probe.mean("start", cell))} under W0, ${digits(probe.mean("before", cell))} before each step and ${digits(probe.mean("after", cell))} after it, ${change(-probe.reduction(cell))} against W0`;
      const sequence = `over ${count(probe.length * probe.size)} tokens at step ${count(probe.step)}`;
      return mode === "loss" ? `Inner loop, ${nameOf(cell)}: mean ${means}, ${sequence}.` : `Inner loop, ${nameOf(cell)}: the state drifts by ${share(columns.drift.last)} from W0 ${sequence}.`;
    },
    table: () => ({
      caption: `Reconstruction loss by position, ${nameOf(cell)}, step ${count(probe?.step ?? 0)}`,
      fields: [
        { label: "Tokens", text: (i) => tokens(x.data[i]) }, { label: "W₀", text: (i) => digits(columns.start.data[i]) },
        { label: "Wₜ₋₁ before", text: (i) => digits(columns.before.data[i]) }, { label: "Wₜ after", text: (i) => digits(columns.after.data[i]) },
        { label: "Wₜ against W₀", text: (i) => change(columns.after.data[i] / columns.start.data[i] - 1) }, { label: "Drift", text: (i) => share(columns.drift.data[i]) },
      ],
      rows: spread(x.length, 200),
    }),
    csv: () => csv(["step", "layer", "head", "mini_batch", "first_token", "loss_w0", "loss_before", "loss_after", "drift"], probe ? lines(probe) : []),
  });
  const { plot } = figure;

  /** tokens are the mini-batch's that begins at that position. @param {number} from */
  const tokens = (from) => (probe && probe.size > 1 ? `${count(from)}–${count(from + probe.size - 1)}` : count(from));

  // Controls.
  const choice = (/** @type {"layer" | "head"} */ what) =>
    h("select", { "aria-label": `${what === "layer" ? "Layer" : "Head"} of the inner loop`, onchange: (/** @type {Event} */ e) => choose({ ...cell, [what]: Number(/** @type {HTMLSelectElement} */ (e.target).value) }) });
  const layer = choice("layer");
  const head = choice("head");
  const modes = /** @type {const} */ (["loss", "drift"]).map((m) =>
    h("button", { type: "button", class: "chart-toggle", "aria-pressed": String(m === mode), onclick: () => setMode(m) }, m === "loss" ? "Loss" : "Drift"));
  figure.extra.append(h("div", { class: "chart-segments", role: "group", "aria-label": "What the inner loop's chart shows" }, ...modes));

  const live = h("p", { class: "chart-hidden", "aria-live": "polite" });
  const choose = (/** @type {Cell} */ c) => {
    cell = c;
    fill();
    if (probe) text(live, `${nameOf(c)}: ${pictured(c).text}`);
  };
  const grid = new Grid(theme, choose);
  const note = h("p", { class: "inner-note" });
  const main = h("div", { class: "inner-main" }, figure.body, figure.sheet, grid.element);
  figure.element.classList.add("chart-inner");
  figure.unit.after(figure.at);
  figure.element.append(main, note, live);
  grid.element.hidden = true;
  grid.element.prepend(h("div", { class: "inner-choice" }, layer, head));
  root.append(figure.element);

  /** @param {"loss" | "drift"} m */
  const setMode = (m) => {
    mode = m;
    modes.forEach((b, i) => b.setAttribute("aria-pressed", String((i === 0) === (m === "loss"))));
    figure.help.dataset.help = m === "loss" ? "inner-loop" : "drift";
        plot.axes.zero = m === "drift";
    plot.axes.tick = m === "drift" ? (v, increment) => `${tick(100 * v, 100 * increment)} %` : undefined;
    compose();
    fill();
  };

  /** value and its difference from W0, at a position or on average. @param {"start" | "before" | "after"} name */
  const against = (name) => (/** @type {number | null} */ at) => {
    if (!probe) return "";
    const of = (/** @type {"start" | "before" | "after"} */ n) => (at === null ? /** @type {Probe} */ (probe).mean(n, cell) : columns[n].data[Math.round(at / /** @type {Probe} */ (probe).size)]);
    return name === "start" ? digits(of(name)) : `${digits(of(name))}  ${change(of(name) / of("start") - 1)}`;
  };

  let composed = "";
  const compose = () => {
    const old = first && probe && first !== probe ? first : null;
    const now = `${mode} ${old?.run} ${old?.step}`;
    if (now === composed) return; // the legend's buttons stay
    composed = now;
    if (mode === "drift") {
      plot.replace([drift]);
      figure.entries = [{ label: drift.style.label, curves: [drift], text: (at) => (at === null ? `${share(columns.drift.last)} at the end` : share(drift.read(at))) }];
      return;
    }
    if (old) ghost.style.label = `at step ${count(old.step)}`;
    plot.replace(old ? [ghost, start, before, after] : [start, before, after]);
    figure.entries = [
      { label: "W₀", note: "Loss under the learned start: what the layer would make of these tokens had it read nothing", curves: [start], text: against("start") },
      { label: "Wₜ₋₁", note: "Loss under the state before the step on these tokens", curves: [before], text: against("before") },
      { label: "Wₜ", note: "Loss under the state after the step on these tokens", curves: [after], text: against("after") },
      ...(old ? [{ label: ghost.style.label, note: "The curve after the step as it was early in training", curves: [ghost], text: (/** @type {number | null} */ at) => digits(at === null ? old.mean("after", cell) : ghost.read(at)) }] : []),
    ];
  };

  /** @param {Cell} c */
  const pictured = (c) => {
    const p = /** @type {Probe} */ (probe);
    if (mode === "drift") {
      const d = p.of("drift", c);
      const value = d.values[d.from + d.length - 1];
      return { value, text: `${share(value)} drift`, curves: [{ ...d, colour: "--c3", dash: false }] };
    }
    const value = p.reduction(c);
    return { value, text: change(-value), curves: [{ ...p.of("start", c), colour: "--ink-2", dash: true }, { ...p.of("after", c), colour: "--c1", dash: false }] };
  };

  const fill = () => {
    text(figure.unit, `${mode === "loss" ? "reconstruction loss" : "drift from W₀"}${probe ? `, step ${count(probe.step)}` : ""}`);
    if (!probe) return;
    for (const name of /** @type {const} */ (["start", "before", "after", "drift"])) {
      const { values, from, length } = probe.of(name, cell);
      columns[name].set(values.subarray(from, from + length));
    }
    const old = first && first !== probe ? first.of("after", cell) : null;
    columns.ghost.set(old ? old.values.subarray(old.from, old.from + old.length) : []);
    ghost.style.fit = most(columns.ghost) < 3 * Math.max(most(columns.start), most(columns.after)); // or it would flatten the others
    layer.value = String(cell.layer);
    head.value = String(cell.head);
    const { broken } = probe;
    put(note, sentences[mode], broken > 0 ? h("strong", {}, ` ${plural(broken, "head")} of ${probe.layers * probe.heads} ${broken === 1 ? "has" : "have"} values that are not finite: gaps, left out of means.`) : null);
    grid.show({ layers: probe.layers, heads: probe.heads, picture: pictured, signed: mode === "loss", caption: mode === "loss" ? "Wₜ against W₀, mean over positions; + marks where it is worse" : "Drift at the last position" }, cell);
    group.redraw();
  };

  group.drawn = () => {
    readAt();
    figure.update();
  };
  group.moved = () => {
    readAt();
    figure.moved();
  };
  group.zoomed = () => figure.zoomed(group.zoom ? `Tokens ${count(group.zoom[0])} to ${count(group.zoom[1])}` : "All tokens");
  const readAt = () => text(figure.at, probe ? (group.cursor === null ? "mean" : `tokens ${tokens(group.cursor)}`) : "");

  /** shaped follows a change of layers, heads or positions. @param {Probe} p */
  const shaped = (p) => {
    const options = (/** @type {HTMLSelectElement} */ select, /** @type {string} */ what, /** @type {number} */ n) => {
      put(select, n > 1 ? h("option", { value: "-1" }, `all ${what}s`) : null, ...Array.from({ length: n }, (_, i) => h("option", { value: String(i) }, `${what} ${i}`)));
      select.hidden = n < 2;
    };
    options(layer, "layer", p.layers);
    options(head, "head", p.heads);
    const keep = (/** @type {number} */ i, /** @type {number} */ n) => (n < 2 ? 0 : i < n ? i : -1);
    cell = { layer: keep(cell.layer, p.layers), head: keep(cell.head, p.heads) };
    x.set(Array.from({ length: p.length }, (_, t) => t * p.size));
    group.cursor = null;
    group.zoom = null;
    group.zoomed();
  };

  compose();
  group.redraw(true);

  return {
    /** update shows a probe. The first one of a run stays behind the others, faintly. @param {InnerData} data */
    update(data) {
      const next = new Probe(data);
      if (next.layers * next.heads * next.length === 0) return;
      if (!probe || !next.fits(probe)) shaped(next);
      if (!first || first.run !== next.run || !first.fits(next) || next.step < first.step) first = next;
      probe = next;
      compose();
      fill();
    },

    /** clear forgets the probes. */
    clear() {
      probe = first = null;
      x.truncate(0);
      for (const c of Object.values(columns)) c.truncate(0);
      grid.element.hidden = true;
      put(note);
      fill();
      group.cursor = null;
      group.zoom = null;
      group.zoomed();
      compose();
      group.redraw(true);
    },

    /** choose shows a layer's head; -1: the mean of all. @param {Cell} c */
    choose,

    /** retheme reads the style sheet's colours anew. */
    retheme() {
      theme.forget();
      grid.draw();
      group.redraw(true);
    },

    /** picture is the chart as its PNG has it, null where it is empty. */
    picture: () => figure.picture(),

    /** destroy ends the chart and empties root. */
    destroy() {
      plot.destroy();
      grid.observer.disconnect();
      root.replaceChildren();
    },
  };
}

/** most is the greatest finite value, 0 at least. @param {Column} c */
function most(c) {
  let m = 0;
  for (let i = 0; i < c.length; i++) if (c.data[i] > m && c.data[i] < Infinity) m = c.data[i];
  return m;
}

/** lines are a probe's rows of the CSV file. @param {Probe} p */
function* lines(p) {
  for (let l = 0; l < p.layers; l++) {
    for (let k = 0; k < p.heads; k++) {
      for (let t = 0; t < p.length; t++) {
        const i = (l * p.heads + k) * p.length + t;
        yield [p.step, l, k, t, t * p.size, p.start[i], p.before[i], p.after[i], p.drift[i]];
      }
    }
  }
}
