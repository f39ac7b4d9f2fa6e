// @ts-check
// The charts of a run: loss, tokens a second, gradient norm and learning rate over the steps, with one cursor, and earlier
// runs behind them.
import { Column, Pacer, SMOOTHING, Smoothed, merged, nearest, spread } from "./columns.js";
import { Curve, Theme } from "./curve.js";
import { h, help } from "./dom.js";
import { Figure, text } from "./figure.js";
import { count, digits, loss as lossText } from "./format.js";
import { Group } from "./group.js";
import { History } from "./history.js";
import { csv } from "./table.js";

/** @typedef {import("./history.js").Metrics} Metrics */
/** @typedef {import("./history.js").StepsData} StepsData */
/** @typedef {import("./history.js").EvalData} EvalData */
/** @typedef {{ id: string, name: string }} RunName */
/** @typedef {ReturnType<typeof createCharts>} Charts */

const rowsOfTable = 200;

/** rate is a learning rate: 3.00e-4. @param {number} x */
const rate = (x) => (Number.isFinite(x) ? (x === 0 ? "0" : x.toExponential(2)) : "–");

/** One run's columns with what is drawn of them. */
class Lines {
  history = new History();
  /** @type {RunName | null} */
  run = null;

  /** @param {number} alpha of the smoothing */
  constructor(alpha) {
    const { history: m } = this;
    this.loss = new Smoothed(m.loss, alpha);
    this.gradNorm = new Smoothed(m.gradNorm, alpha);
    this.tokensPerSecond = new Smoothed(m.tokensPerSecond, alpha);
    this.smoothed = [this.loss, this.gradNorm, this.tokensPerSecond];
  }

  /** restart follows a change of the past. */
  restart() {
    for (const s of this.smoothed) s.restart();
  }
}

/**
 * createCharts fills root, which should have a height, with the charts. slot, an empty element between the loss and the
 * small charts, is for the inner loop's.
 * @param {HTMLElement} root
 */
export function createCharts(root) {
  const theme = new Theme(root);
  const group = new Group(9);
  let alpha = SMOOTHING;
  const own = new Lines(alpha);
  /** @type {Lines[]} */
  let others = [];
  const { history } = own;
  const at = (/** @type {number | null} */ x) => (x === null ? history.step.last : x);
  const name = () => own.run?.name ?? "run";
  const file = (/** @type {string} */ what) => () => `innerloop-${own.run?.id ?? "run"}-${what}`;
  const number = (/** @type {Curve} */ c, /** @type {(v: number) => string} */ f) => (/** @type {number | null} */ x) => f(c.read(x));

  // The curves of the open run.
  const raw = new Curve(history.step, history.loss, { label: "training, each step", colour: "--c1", alpha: 0.4, dot: false });
  const training = new Curve(history.step, own.loss, { label: "training", colour: "--c1", width: 2, sampled: true });
  const validation = new Curve(history.valStep, history.valLoss, { label: "validation", colour: "--c2", width: 1.5, dash: [6, 4], points: true, sparse: true });
  const speed = { raw: new Curve(history.step, history.tokensPerSecond, { label: "each report", colour: "--c1", alpha: 0.35, dot: false }), mean: new Curve(history.step, own.tokensPerSecond, { label: "tokens/s", colour: "--c1", width: 1.5, sampled: true }) };
  const norm = { raw: new Curve(history.step, history.gradNorm, { label: "each step", colour: "--c1", alpha: 0.35, dot: false }), mean: new Curve(history.step, own.gradNorm, { label: "gradient norm", colour: "--c1", width: 1.5, sampled: true }) };
  const lr = new Curve(history.step, history.lr, { label: "learning rate", colour: "--c1", width: 1.5 });

  /**
   * One column's table and file.
   * @param {string} title @param {string} field @param {string} header @param {(l: Lines) => Column} column @param {(v: number) => string} f
   */
  const simple = (title, field, header, column, f) => ({
    table: () => ({
      caption: `${title} of ${name()}, ${sampled(history.step.length)}`,
      fields: [
        { label: "Step", text: (/** @type {number} */ i) => count(history.step.data[i]) },
        { label: field, text: (/** @type {number} */ i) => f(column(own).data[i]) },
      ],
      rows: spread(history.step.length, rowsOfTable),
    }),
    csv: () => csv(["run", "step", header], rows([own, ...others], (l) => l.history.step, (l) => {
      const values = column(l).data;
      return (_, i) => [values[i]];
    })),
    summary: () => `${title}: ${f(column(own).last)} at step ${count(history.step.last)}, over ${count(history.step.length)} steps.${behind()}`,
  });
  const behind = () => (others.length > 0 ? ` Behind it ${others.map((o, i) => `${letter(i)}, ${o.run?.name}`).join("; ")}.` : "");

  const figures = {
    loss: new Figure(group, theme, {
      key: "loss", title: "Loss", unit: "nats per token", empty: "The loss appears here with the first steps.", sketch: "M2 4C10 30 24 32 98 35", axes: { x: "step" }, file: file("loss"), of: name,
      summary: () => {
        const { step, loss } = history;
        const val = history.valLoss.length > 0 ? ` Validation ${lossText(history.valLoss.last)} at step ${count(history.valStep.last)}.` : "";
        return step.length > 0 ? `Training loss of ${name()} over steps ${count(step.data[0])} to ${count(step.last)}: from ${lossText(loss.data[0])} to ${lossText(training.read(null))} nats per token, smoothed.${val}${behind()}` : `Loss.${val}${behind()}`;
      },
      table: () => lossTable(),
      csv: () => csv(["run", "step", "training_loss_nats_per_token", "validation_loss_nats_per_token"],
        rows([own, ...others], (l) => merged(l.history.step, l.history.valStep), ({ history: m }) => (step) => [exactly(m.step, m.loss, step), exactly(m.valStep, m.valLoss, step)])),
    }),
    speed: new Figure(group, theme, {
      key: "tokens-per-second", title: "Speed", unit: "tokens/s", empty: "How fast it reads.", sketch: "M2 14H98", small: true, axes: { x: "step", zero: true, gutter: 40 }, file: file("tokens-per-second"), of: name,
      now: number(speed.mean, digits), ...simple("Tokens a second", "Tokens/s", "tokens_per_second", (l) => l.history.tokensPerSecond, digits),
    }),
    norm: new Figure(group, theme, {
      key: "grad-norm", title: "Gradient norm", unit: "", empty: "Before clipping.", sketch: "M2 6C8 24 30 27 98 29", small: true, axes: { x: "step", log: true, gutter: 40 }, file: file("gradient-norm"), of: name,
      now: number(norm.raw, digits), ...simple("Gradient norm", "Gradient norm", "gradient_norm", (l) => l.history.gradNorm, digits),
    }),
    lr: new Figure(group, theme, {
      key: "learning-rate", title: "Learning rate", unit: "", empty: "Warm-up, then decay.", sketch: "M2 36L18 6C50 6 60 30 98 32", small: true, axes: { x: "step", zero: true, gutter: 46 }, file: file("learning-rate"), of: name,
      now: number(lr, rate), ...simple("Learning rate", "Learning rate", "learning_rate", (l) => l.history.lr, rate),
    }),
  };
  const all = Object.values(figures);

  const lossTable = () => {
    const { step, loss, valStep, valLoss } = history;
    const vals = spread(valStep.length, rowsOfTable / 2).map((i) => valStep.data[i]);
    const chosen = [...new Set([...spread(step.length, rowsOfTable - vals.length).map((i) => step.data[i]), ...vals])].sort((a, b) => a - b);
    const value = (/** @type {Column} */ x, /** @type {Column} */ y) => (/** @type {number} */ row) => {
      const v = exactly(x, y, row);
      return v === undefined ? "" : lossText(v);
    };
    training.read(null);
    return {
      caption: `Loss of ${name()} in nats per token, ${sampled(merged(step, valStep).length)}`,
      fields: [
        { label: "Step", text: count }, { label: "Training", text: value(step, loss) },
        { label: `Smoothed (${alpha.toFixed(2)})`, text: value(step, own.loss) }, { label: "Validation", text: value(valStep, valLoss) },
      ],
      rows: chosen,
    };
  };

  // The loss's own controls.
  const logButton = h("button", {
    type: "button", class: "chart-toggle", "aria-pressed": "false", title: "Logarithmic axis",
    onclick: () => {
      const on = logButton.getAttribute("aria-pressed") !== "true";
      logButton.setAttribute("aria-pressed", String(on));
      figures.loss.plot.log(on);
    },
  }, "Log");
  const smoothing = h("span", { class: "chart-amount" }, alpha.toFixed(2));
  const smoothPace = new Pacer(() => {
    for (const l of [own, ...others]) for (const s of l.smoothed) s.alpha = alpha;
    showRaw();
    group.redraw(true);
    charts.smoothed(alpha);
  }, 0);
  const slider = h("input", {
    type: "range", min: "0", max: "0.99", step: "0.01", "aria-label": "Smoothing", value: String(alpha),
    oninput: () => {
      alpha = Number(slider.value);
      text(smoothing, alpha.toFixed(2));
      smoothPace.ask();
    },
  });
  figures.loss.extra.append(logButton, h("label", { class: "chart-smooth", title: "Exponential moving average, without the bias of its start: 0 shows every step as it is" }, "Smooth", slider, smoothing), help("smoothing", "smoothing"));

  const showRaw = () => {
    for (const c of [speed.raw, norm.raw]) c.shown = alpha > 0;
    raw.shown = alpha > 0 && training.shown;
  };

  const slot = h("div", { class: "charts-slot" });
  const live = h("p", { class: "chart-hidden", "aria-live": "polite" });
  const small = h("div", { class: "charts-small" }, figures.speed.element, figures.norm.element, figures.lr.element);
  root.classList.add("charts");
  const changes = h("ol", { class: "chart-changes", "aria-label": "What was changed in the course of the run", hidden: true });
  figures.loss.element.append(changes);
  root.append(figures.loss.element, slot, small, live);

  /** The earlier runs' curves by id: what the legend hides stays hidden. @type {Map<string, Curve>} */
  const kept = new Map();
  const compose = () => {
    const back = others.map((o, i) => {
      const style = { label: o.run?.name ?? "", colour: `--c${3 + (i % 6)}`, tag: letter(i), width: 1.25, sampled: true };
      const m = o.history;
      const shown = kept.get(o.run?.id ?? "")?.shown ?? true;
      const curves = {
        loss: new Curve(m.step, o.loss, style), val: new Curve(m.valStep, m.valLoss, { ...style, tag: "", width: 1, dash: [3, 3], sparse: true, dot: false }),
        speed: new Curve(m.step, o.tokensPerSecond, { ...style, width: 1 }), norm: new Curve(m.step, o.gradNorm, { ...style, width: 1 }), lr: new Curve(m.step, m.lr, { ...style, width: 1 }),
      };
      for (const c of Object.values(curves)) c.shown = shown;
      return curves;
    });
    kept.clear();
    others.forEach((o, i) => kept.set(o.run?.id ?? "", back[i].loss));
    figures.loss.plot.replace([...back.flatMap((b) => [b.val, b.loss]), raw, validation, training]);
    figures.speed.plot.replace([...back.map((b) => b.speed), speed.raw, speed.mean]);
    figures.norm.plot.replace([...back.map((b) => b.norm), norm.raw, norm.mean]);
    figures.lr.plot.replace([...back.map((b) => b.lr), lr]);
    figures.loss.entries = [
      { label: "training, smoothed", note: "Training loss: each step thin, smoothed thick; the number is the smoothed one", curves: [raw, training], text: number(training, lossText) },
      { label: "validation", note: "Loss on text that is not trained on", curves: [validation], text: number(validation, lossText) },
      ...back.map((b) => ({
        label: b.loss.style.label, note: `${b.loss.style.label}: training smoothed, validation dashed`, curves: [b.val, b.speed, b.norm, b.lr, b.loss],
        text: (/** @type {number | null} */ x) => [b.loss.read(x), b.val.read(x)].map(lossText).join(" · "),
      })),
    ];
    for (const what of /** @type {const} */ (["speed", "norm", "lr"])) {
      figures[what].entries = back.map((b) => ({ label: b.loss.style.label, curves: [b[what]], text: () => "" })); // for their pictures
    }
    showRaw();
    group.redraw(true);
  };

  group.drawn = () => {
    readStep();
    for (const f of all) f.update();
  };
  group.moved = () => {
    readStep();
    for (const f of all) f.moved();
  };
  group.zoomed = () => {
    const z = group.zoom;
    const what = z ? `Steps ${count(z[0])} to ${count(z[1])}` : "All steps";
    for (const f of all) f.zoomed(what);
    if (z || live.textContent) text(live, what);
  };
  const readStep = () => {
    const step = at(group.cursor);
    text(figures.loss.at, Number.isFinite(step) ? `step ${count(step)}` : "");
  };

  compose();
  let marked = "";

  const charts = {
    /** smoothed is called when the person smooths the curves in another way. @type {(alpha: number) => void} */
    smoothed: () => {},

    /** The element for the inner loop's chart. */
    slot,

    /**
     * load shows a run's history in the place of what was there.
     * @param {RunName} run @param {Metrics} metrics
     */
    load(run, metrics) {
      own.run = run;
      history.load(metrics);
      own.restart();
      group.point(null);
      group.zoom = null;
      group.zoomed();
      group.redraw(true);
    },

    /**
     * mark draws a numbered line where something was changed in the course of the run, and lists what.
     * @param {{ step: number, text: string }[]} list
     */
    mark(list) {
      const now = list.map((m) => `from step ${count(m.step)}: ${m.text}`);
      if (now.join("\n") === marked) return;
      marked = now.join("\n");
      group.marks = list.map((m) => m.step);
      changes.hidden = list.length === 0;
      changes.replaceChildren(...now.map((t) => h("li", {}, t)));
      group.redraw(true);
    },

    /** rename changes what the open run is called. @param {RunName} run */
    rename(run) {
      if (own.run?.id === run.id) own.run = run;
    },

    /** append adds steps. Those of a run that is not the open one are left out. @param {StepsData} data */
    append(data) {
      own.run ??= { id: data.run, name: data.run };
      if (own.run.id !== data.run) return;
      if (history.append(data)) own.restart();
      group.redraw();
    },

    /** eval adds an evaluation. @param {EvalData} data */
    eval(data) {
      own.run ??= { id: data.run, name: data.run };
      if (own.run.id !== data.run) return;
      history.eval(data);
      group.redraw();
    },

    /** truncate forgets what came after step: the run goes on from there. @param {number} step */
    truncate(step) {
      history.truncate(step);
      own.restart();
      group.redraw();
    },

    /** clear empties the charts, those of earlier runs apart. */
    clear() {
      own.run = null;
      history.clear();
      own.restart();
      group.point(null);
      group.zoom = null;
      group.zoomed();
      group.redraw(true);
    },

    /** overlay shows earlier runs behind the open one, these and no others. @param {(RunName & { metrics: Metrics })[]} runs */
    overlay(runs) {
      others = runs.map(({ id, name, metrics }) => {
        const l = new Lines(alpha);
        l.run = { id, name };
        l.history.load(metrics);
        return l;
      });
      compose();
    },

    /** retheme reads the style sheet's colours anew. */
    retheme() {
      theme.forget();
      group.redraw(true);
    },

    /** redraw draws a chart now, at once; for measurements. @param {keyof typeof figures} [chart] */
    redraw(chart = "loss") {
      figures[chart].plot.draw();
      return figures[chart].plot;
    },

    /** picture is a chart as its PNG has it, null where it is empty. @param {keyof typeof figures} [chart] */
    picture: (chart = "loss") => figures[chart].picture(),

    /** destroy ends the charts and empties root. */
    destroy() {
      for (const f of all) f.plot.destroy();
      root.classList.remove("charts");
      root.replaceChildren();
    },
  };
  return charts;
}

/** letter names the earlier run i: A, B, ... @param {number} i */
const letter = (i) => String.fromCharCode(65 + (i % 26)) + (i >= 26 ? String(Math.floor(i / 26)) : "");

/** sampled says how much of n rows a table has. @param {number} n */
const sampled = (n) => (n > rowsOfTable ? `${rowsOfTable} of ${count(n)} rows; the CSV file has all` : `${count(n)} rows`);

/** exactly is the value at x itself. @param {Column} xs @param {Column} ys @param {number} x */
function exactly(xs, ys, x) {
  const i = nearest(xs.data, xs.length, x);
  return i >= 0 && xs.data[i] === x ? ys.data[i] : undefined;
}

/**
 * rows are a CSV file's lines, run by run.
 * @param {Lines[]} runs @param {(l: Lines) => Column} steps @param {(l: Lines) => (step: number, i: number) => (number | undefined)[]} values
 */
function* rows(runs, steps, values) {
  for (const l of runs) {
    const x = steps(l);
    const of = values(l);
    for (let i = 0; i < x.length; i++) yield [l.run?.name ?? "", x.data[i], ...of(x.data[i], i)];
  }
}

/**
 * benchRedraw is the median time in milliseconds of drawing the loss chart of a run with that many steps, its pixels included.
 * @param {number} [points]
 */
export async function benchRedraw(points = 100_000) {
  const root = h("div");
  Object.assign(root.style, { position: "fixed", left: "-10000px", top: "0", width: "640px", height: "700px" });
  document.body.append(root);
  const charts = createCharts(root);
  try {
    const step = Float64Array.from({ length: points }, (_, i) => i + 1);
    const noise = (/** @type {number} */ i) => ((Math.imul(i + 1, 2654435761) >>> 0) / 2 ** 32 - 0.5) * 2;
    const loss = step.map((s, i) => 1.5 + 4 * Math.exp(-s / (points / 8)) + 0.4 * noise(i));
    const valStep = step.filter((_, i) => i % Math.ceil(points / 100) === 0);
    charts.load({ id: "bench", name: "bench" }, { run: "bench", step, loss, gradNorm: loss, lr: loss, tokensPerSecond: loss, valStep, valLoss: valStep.map(() => 2) });
    await new Promise((f) => setTimeout(f, 300)); // laid out, drawn once
    const pixel = /** @type {CanvasRenderingContext2D} */ (h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true }));
    /** @type {number[]} */
    const times = [];
    for (let i = 0; i < 15; i++) {
      const begin = performance.now();
      const { u } = charts.redraw("loss");
      if (!u) throw new Error("charts: nothing was drawn");
      pixel.drawImage(u.ctx.canvas, 0, 0);
      pixel.getImageData(0, 0, 1, 1); // waits for the pixels
      times.push(performance.now() - begin);
      await new Promise((f) => setTimeout(f));
    }
    return times.sort((a, b) => a - b)[times.length >> 1];
  } finally {
    charts.destroy();
    root.remove();
  }
}
