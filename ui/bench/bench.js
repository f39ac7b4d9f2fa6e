// @ts-check
// The bench page: what is to be measured, the worker that measures, and tables of what it found.

import assets from "innerloop:assets";
import { $, button, h, input, prefs, put } from "../dom.js";
import { digits } from "../format.js";
import { kernelTable, pipelineTable, resultTable, roofline } from "./tables.js";

/** @typedef {import("./tables.js").Report} Report */
/** @typedef {import("./tables.js").Result} Result */
/** @typedef {{ name: string, backend: string, software: boolean, problem: string }} Device */

/** The suites, with what each measures. @type {{ [suite: string]: string }} */
const SUITES = {
  roofline: "memory bandwidth, the best product", matmul: "matrix products", scan: "the TTT layers' inner loop",
  step: "training steps, kernel by kernel", decode: "generating token by token", load: "until the first step",
};
/** What is chosen before anybody chooses. */
const FIRST = ["matmul", "step", "decode"];

/** @type {Worker | null} */
let worker = null;
/** The reports so far. @type {Report[]} */
let reports = [];
/** @type {Device | null} */
let device = null;

const select = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ ($(id));
const chosen = () => Object.keys(SUITES).filter((s) => input(`suite-${s}`).checked);

/** say tells how far it is. @param {string} text */
const say = (text) => put($("status"), text);

/** @param {string} text empty: there is no problem */
function problem(text) {
  $("problem").hidden = text === "";
  put($("problem"), text);
}

/** @param {"ready" | "running"} phase */
function enter(phase) {
  document.body.dataset.phase = phase;
  button("run").hidden = phase === "running";
  button("stop").hidden = phase !== "running";
  button("copy").disabled = reports.length === 0;
  for (const node of $("form").querySelectorAll("input, select")) /** @type {HTMLInputElement} */ (node).disabled = phase === "running";
}

/** deviceText names what is measured. */
function deviceText() {
  if (!device) return "";
  const kind = device.backend === "go" ? "on the processor, without WebGPU" : device.software ? "WebGPU, played by the processor" : "WebGPU";
  return `${device.name} (${kind})${device.problem ? `: ${device.problem}` : ""}`;
}

/**
 * measure has the worker run a suite and resolves to its report.
 * @param {string} suite
 * @param {(r: Result | null) => void} each gets the results as they come, and null once the device is known
 * @returns {Promise<Report>}
 */
function measure(suite, each) {
  worker ??= new Worker(new URL(assets.worker, document.baseURI), { type: "module", name: "innerloop bench" });
  const w = worker;
  return new Promise((resolve, reject) => {
    w.onmessage = ({ data: { event, data } }) => {
      if (event === "device") {
        device = data;
        each(null);
      } else if (event === "measured") each(data);
      else if (event === "report") resolve(data);
      else if (event === "failed") reject(new Error(String(data)));
    };
    w.onerror = (e) => {
      e.preventDefault();
      reject(new Error(`the worker failed: ${e.message || "it could not be loaded"}`));
    };
    w.postMessage({ device: select("device").value, suite, seconds: Number(input("seconds").value), small: select("size").value === "small" });
  });
}

/** end ends the worker; the next suite begins a new one. */
function end() {
  worker?.terminate();
  worker = null;
}

/** run runs the chosen suites, one after the other. */
async function run() {
  reports = [];
  put($("results"));
  problem("");
  remember();
  enter("running");
  const suites = chosen();
  for (const [i, suite] of suites.entries()) {
    const host = h("section", { id: `result-${suite}` });
    $("results").append(host);
    /** @type {Result[]} */
    const results = [];
    const show = (/** @type {Report | null} */ report) => {
      put(host, h("h2", {}, suite, h("small", {}, SUITES[suite])), resultTable(report?.results ?? results),
        report && kernelTable(report), report && pipelineTable(report), report && roofline(report));
    };
    const tell = () => say(`${suite}, suite ${i + 1} of ${suites.length}: ${results.length ? `${results.length} measured` : "preparing"}${device ? ` on ${deviceText()}` : ""}`);
    show(null);
    tell();
    try {
      const report = await measure(suite, (r) => {
        if (r) results.push(r);
        show(null);
        tell();
      });
      reports.push(report);
      show(report);
    } catch (e) {
      if (document.body.dataset.phase !== "running") return; // stopped
      end();
      problem(`${suite}: ${/** @type {Error} */ (e).message}`);
      say("");
      enter("ready");
      return;
    }
    enter("running");
  }
  say(`Done: ${deviceText()}`);
  enter("ready");
}

/** stop ends what is under way: the worker may be deep in a computation. */
function stop() {
  end();
  say("Stopped.");
  enter("ready");
}

/** json is all that was measured, as innerloop bench all --json prints it. */
export const json = () => JSON.stringify({ browser: navigator.userAgent, page: location.href, device, reports }, null, 2);

async function copy() {
  try {
    await navigator.clipboard.writeText(json());
    say(`Copied what was measured on ${deviceText()}.`);
  } catch {
    problem("The browser does not let this page write to the clipboard.");
  }
}

/** remember puts what is measured into the address: a link measures the same. */
function remember() {
  const q = new URLSearchParams({ suites: chosen().join(","), device: select("device").value, size: select("size").value, seconds: input("seconds").value });
  history.replaceState(null, "", `#${q}`);
}

/** recall takes it from there. */
function recall() {
  const q = new URLSearchParams(location.hash.slice(1));
  const suites = (q.get("suites") ?? FIRST.join(",")).split(",");
  for (const s of Object.keys(SUITES)) input(`suite-${s}`).checked = suites.includes(s);
  for (const id of ["device", "size"]) {
    const value = q.get(id);
    if (value && [...select(id).options].some((o) => o.value === value)) select(id).value = value;
  }
  const seconds = Number(q.get("seconds") ?? 10);
  if (seconds >= 0 && seconds <= 3600) input("seconds").value = String(seconds);
}

/** theme keeps to the system's until the person chooses, on either page. */
function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const kept = prefs.get("theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button("theme").addEventListener("click", () => {
    const system = dark.matches ? "dark" : "light";
    const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    if (next === system) delete root.dataset.theme;
    else root.dataset.theme = next;
    prefs.set("theme", next === system ? null : next);
  });
}

theme();
$("suites").append(...Object.entries(SUITES).map(([name, what]) => h("label", { class: "suite" }, h("input", { type: "checkbox", id: `suite-${name}` }), h("span", {}, name), h("small", {}, what))));
recall();
addEventListener("hashchange", recall);
$("form").addEventListener("submit", (e) => {
  e.preventDefault();
  if (chosen().length > 0) void run();
  else problem("Choose a suite.");
});
button("stop").addEventListener("click", stop);
button("copy").addEventListener("click", () => void copy());
say(`The program is ${digits(assets.wasmBytes / 1e6)} MB and comes with the first run.`);
