// @ts-check
// A page to look at the charts with made-up numbers, no part of what is served. Its controls are also parameters of the
// address.
import { benchRedraw, createCharts } from "../charts.js";
import { createInner } from "../inner.js";

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (byId("controls"));
const root = byId("charts");
const charts = createCharts(root);
const inner = createInner(charts.slot);
Object.assign(globalThis, { charts, inner, benchRedraw });

// A random stream of its own, so that pictures can be compared.
let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
const normal = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());

/** @param {number} step @param {number} speed of learning */
const row = (step, speed) => {
  const loss = 1.45 + 4.1 / (1 + (step * speed) / 60) + 0.09 * normal() * (1 + 2 / (1 + step / 100)) + (random() < 0.001 ? 0.8 : 0);
  return {
    step, loss, gradNorm: Math.exp(0.35 * normal()) * (0.45 + 3 / (1 + step / 20)), lr: step < 100 ? (3e-3 * step) / 100 : 3e-4 + 2.7e-3 * Math.exp(-(step - 100) / 2000),
    tokens: step * 2048, rate: 21_000 * (1 + 0.04 * normal()) * (step % 500 < 4 ? 0.6 : 1),
  };
};
/** @param {string} run @param {number} n @param {number} speed */
const metrics = (run, n, speed) => {
  const rows = Array.from({ length: n }, (_, i) => row(i + 1, speed));
  const vals = Array.from({ length: Math.floor(n / Math.max(50, n / 40)) + (n > 0 ? 1 : 0) }, (_, i) => i * Math.max(50, Math.floor(n / 40)));
  return {
    run, step: Float64Array.from(rows, (r) => r.step), loss: Float64Array.from(rows, (r) => r.loss), gradNorm: Float64Array.from(rows, (r) => r.gradNorm),
    lr: Float64Array.from(rows, (r) => r.lr), tokensPerSecond: Float64Array.from(rows, (r) => r.rate),
    valStep: Float64Array.from(vals), valLoss: Float64Array.from(vals, (s) => 1.55 + 4.0 / (1 + (s * speed) / 60) + 0.01 * normal()),
  };
};
/** @param {number} step @param {number} layers @param {number} heads @param {number} batches @param {boolean} broken */
const probe = (step, layers, heads, batches, broken) => {
  const n = layers * heads * batches;
  const columns = { start: new Float64Array(n), before: new Float64Array(n), after: new Float64Array(n), drift: new Float64Array(n) };
  const learned = 1 - Math.exp(-step / 200);
  for (let i = 0; i < layers * heads; i++) {
    const scale = 0.5 + 0.4 * random();
    const gain = (0.05 + 0.4 * learned) * (0.3 + random()) - 0.08;
    for (let t = 0; t < batches; t++) {
      const k = i * batches + t;
      const read = 1 - Math.exp(-t / (batches / 5 + 1));
      columns.start[k] = scale * (1 + 0.04 * normal());
      columns.before[k] = columns.start[k] * (1 - gain * read) + 0.005 * normal();
      columns.after[k] = columns.before[k] * (1 - 0.1 * (0.3 + learned) * (1 + gain));
      columns.drift[k] = 0.12 * Math.sqrt(t + 1) * (0.5 + gain + 0.02 * normal());
      if (broken && i === 1 && t > batches / 2) columns.start[k] = columns.before[k] = columns.after[k] = columns.drift[k] = NaN;
    }
  }
  return { run: "now", step, layers, heads, miniBatches: batches, miniBatchSize: 16, ...columns };
};

const names = ["baseline, lr 1e-3", "no inner gate", "TTT-MLP, 2 layers", "wide", "K = 64", "a run with a rather long name that someone typed in a hurry"];
let step = 0;
let timer = 0;
const apply = () => {
  seed = 1;
  clearInterval(timer);
  const of = (/** @type {string} */ name) => String(new FormData(form).get(name) ?? "");
  const points = Number(of("points"));
  const theme = of("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  root.style.width = of("width") ? `${of("width")}px` : "";
  charts.retheme();
  inner.retheme();
  charts.clear();
  inner.clear();
  charts.overlay(names.slice(0, Number(of("overlays"))).map((name, i) => ({ id: `r${i}`, name, metrics: metrics(`r${i}`, Math.max(200, points * (0.7 + 0.15 * i)) | 0, 0.5 + 0.3 * i) })));
  const [layers, heads] = of("shape").split("x").map(Number);
  const show = (/** @type {number} */ s) => inner.update(probe(s, layers, heads, Number(of("batches")), of("broken") !== ""));
  if (points > 0) {
    charts.load({ id: "now", name: "calm-otter" }, metrics("now", points, 1));
    if (points > 1) {
      show(0);
      show(points);
    }
  }
  step = points;
  if (of("live")) {
    timer = setInterval(() => {
      const rows = Array.from({ length: 5 }, () => row(++step, 1));
      charts.append({ run: "now", seconds: 0.5, rows });
      if (step % 100 === 0) {
        charts.eval({ run: "now", step, loss: 1.55 + 4.0 / (1 + step / 60) });
        show(step);
      }
    }, 50);
  }
};
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLInputElement) field.checked = value !== "" && value !== "0";
  else if (field instanceof HTMLSelectElement) field.value = value;
}
form.addEventListener("change", apply);
byId("bench").addEventListener("click", async () => {
  byId("measured").textContent = `${(await benchRedraw(100_000)).toFixed(1)} ms for 100,000 points`;
});
apply();
