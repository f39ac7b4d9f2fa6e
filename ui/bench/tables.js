// @ts-check
// Tables of what was measured.

import { h } from "../dom.js";
import { count, digits } from "../format.js";

/**
 * Result is bench.Result.
 * @typedef {{ name: string, seconds: number, seconds_best: number, seconds_q1: number, seconds_q3: number, runs: number, rate?: number, unit?: string,
 *   gflops?: number, roofline_share?: number, note?: string, skipped?: string }} Result
 */
/** @typedef {{ name: string, dispatches: number, ms_per_step: number, share: number, gflops: number, gb_per_second: number, roofline_share?: number }} Kernel */
/** @typedef {{ kernel: string, count: number, load_seconds: number, first_run_seconds: number }} Pipeline */
/**
 * Report is bench.Report.
 * @typedef {{ suite: string, device: string, version: string, results: Result[], kernels?: Kernel[], pipelines?: Pipeline[],
 *   roofline?: { copy_gb_per_second: number, matmul_gflops: number, matmul: string } }} Report
 */
/**
 * A column: its head, its cell, and whether a phone leaves it out.
 * @template T
 * @typedef {{ head: string, cell: (row: T) => Node | string, optional?: boolean, class?: string }} Column
 */

/** @param {number} x 0.123 is 12.3 % */
const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** @param {number} x a speed; what is next to nothing says so */
const speed = (x) => (x < 0.005 ? "< 0.01" : x < 10 ? x.toFixed(2) : digits(x));

/** @param {number} s a measured time, three digits of it: 12.3 µs, 45.6 ms, 7.89 s */
const duration = (s) => (s < 0.9995e-3 ? `${digits(s * 1e6)} µs` : s < 0.9995 ? `${digits(s * 1e3)} ms` : `${digits(s)} s`);

/**
 * share is a share with a bar, full at 100 %.
 * @param {number | undefined} x undefined: not known
 */
function share(x) {
  if (!x) return "";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  bar.setAttribute("width", String(Math.min(100, 100 * x)));
  bar.setAttribute("height", "10");
  svg.append(bar);
  return h("span", {}, svg, percent(x));
}

/**
 * table makes a table whose first column names its rows.
 * @template T
 * @param {Column<T>[]} columns
 * @param {T[]} rows
 */
function table(columns, rows) {
  const attrs = (/** @type {Column<T>} */ c) => ({ class: [c.class, c.optional && "optional"].filter(Boolean).join(" ") || null });
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, ...columns.map((c) => h("th", { scope: "col", ...attrs(c) }, c.head)))),
    h("tbody", {}, ...rows.map((r) => h("tr", {}, ...columns.map((c, i) => (i === 0 ? h("th", { scope: "row" }, c.cell(r)) : h("td", attrs(c), c.cell(r)))))))));
}

/** nameOf is a result's name, with why there is none. @param {Result} r */
const nameOf = (r) => (r.skipped ? `${r.name} (skipped: ${r.skipped})` : r.name);

/** unless shows text where a result was measured. @param {Result} r @param {() => Node | string} text */
const unless = (r, text) => (r.skipped ? "–" : text());

/** resultTable has the results of a suite; columns that nothing is in are left out. @param {Result[]} results */
export function resultTable(results) {
  /** @type {(Column<Result> & { when?: boolean })[]} */
  const columns = [
    { head: "measurement", cell: nameOf },
    { head: "time", cell: (r) => unless(r, () => duration(r.seconds)) },
    { head: "quartiles", cell: (r) => unless(r, () => `${duration(r.seconds_q1)} – ${duration(r.seconds_q3)}`), optional: true, class: "aside" },
    { head: "runs", cell: (r) => unless(r, () => count(r.runs)), optional: true, class: "aside" },
    { head: "speed", cell: (r) => (r.rate ? `${speed(r.rate)} ${r.unit}` : ""), when: results.some((r) => r.rate) },
    { head: "roofline", cell: (r) => share(r.roofline_share), class: "share", when: results.some((r) => r.roofline_share) },
    { head: "", cell: (r) => r.note ?? "", optional: true, class: "aside", when: results.some((r) => r.note) },
  ];
  return table(columns.filter((c) => c.when !== false), results);
}

/** kernelTable has the kernels of a step, null where there are none. @param {Report} report */
export function kernelTable({ kernels }) {
  if (!kernels) return null;
  return table([
    { head: "kernel", cell: (k) => k.name },
    { head: "dispatches", cell: (k) => count(k.dispatches), optional: true, class: "aside" },
    { head: "a step", cell: (k) => duration(k.ms_per_step / 1e3) },
    { head: "share", cell: (k) => percent(k.share) },
    { head: "GFLOP/s", cell: (k) => (k.gflops ? speed(k.gflops) : ""), optional: true },
    { head: "GB/s", cell: (k) => speed(k.gb_per_second), optional: true },
    { head: "roofline", cell: (k) => share(k.roofline_share), class: "share" },
  ], kernels);
}

/** pipelineTable has what compiling costs, null where that was not measured. @param {Report} report */
export function pipelineTable({ pipelines }) {
  if (!pipelines) return null;
  return table([
    { head: "kernel", cell: (p) => p.kernel },
    { head: "pipelines", cell: (p) => count(p.count) },
    { head: "to load", cell: (p) => duration(p.load_seconds) },
    { head: "more in the first run", cell: (p) => duration(p.first_run_seconds) },
  ], pipelines);
}

/** roofline says what shares are shares of, null where there is none. @param {Report} report */
export function roofline({ roofline: r }) {
  if (!r) return null;
  return h("p", {}, `The roofline measured here: ${digits(r.copy_gb_per_second)} GB/s to copy memory, ${digits(r.matmul_gflops)} GFLOP/s in the best product (${r.matmul}). More than 100 % is work on data in caches.`);
}
