// @ts-check
// The diagnosis of the open run: one cause in plain words, every hypothesis with what was measured, and the tables of what
// goes into the normaliser and what comes out.
import { h, help, icon, put } from "./dom.js";
import { count } from "./format.js";
import { breaches, brief, print } from "./norms.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./messages.d.ts").Diagnosis} Report */
/** @typedef {Report["hypotheses"][number]} Hypothesis */

/** What each cause is in plain words. */
const CAUSES = new Map(Object.entries({
  "healthy": "Healthy",
  "inconsistent-normaliser": "The normaliser is inconsistent",
  "zero-keys": "Keys are 0",
  "keys-not-normalised": "Keys are not normalised",
  "half-precision": "The statistics are made in half precision",
  "one-pass-variance": "The variance is made in one pass, and cancels",
  "eps-not-added": "A clamp or a maximum stands in for eps",
  "stale-eps": "Another eps is in use than the one that is set",
  "future-leak": "Tokens see those after them",
  "norm-parameters": "The norm's weights or biases are far from 1 and 0",
  "small-std": "The standard deviation is nearly 0, and eps does not make up for it",
  "extreme-input": "The input has extreme values",
  "non-finite": "Values are not finite",
  "undecidable": "Not decidable",
}));

const VERDICTS = { supported: { icon: "bad", word: "supported" }, refuted: { icon: "done", word: "refuted" }, undecidable: { icon: "info", word: "undecidable" } };

/** causeIn is a cause in plain words. @param {string} cause */
export const causeIn = (cause) => CAUSES.get(cause) ?? cause.replaceAll("-", " ");

/** sentence has s begin with a capital and end with a full stop. @param {string} s */
const sentence = (s) => (s === "" ? "" : s.charAt(0).toUpperCase() + s.slice(1) + (/[.!?]$/.test(s) ? "" : "."));

/**
 * createDiagnosis fills card with the button and what it brings, and tables with the layers' numbers.
 * @param {App} app
 * @param {HTMLElement} card
 * @param {HTMLElement} tables
 * @param {() => string} fault that is in the run, or ""
 */
export function createDiagnosis(app, card, tables, fault) {
  const button = h("button", { type: "button", id: "diagnose", class: "primary", onclick: () => button.hasAttribute("aria-disabled") || void ask() }, "Diagnose");
  const note = h("p", { class: "note" });
  const result = h("div", { id: "diagnosis", role: "status" });
  const list = h("div", { class: "hypotheses" });
  put(card, h("div", { class: "num-head" }, h("h3", {}, "Diagnosis"), help("diagnosis", "the diagnosis"), button), note, result, list);
  tables.hidden = true;
  let busy = false;
  let of = ""; // the run and fault that was diagnosed

  const able = () => app.isOpen && ["running", "paused", "finished"].includes(app.phase);
  const refresh = () => {
    const on = able() && !busy;
    if (on) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
    put(button, busy ? "Measuring…" : "Diagnose");
    const old = of !== "" && of !== key();
    put(note, busy ? "One held-out batch, the normaliser by itself, and a look for leaks: a moment." : !able() ? "Start a run: the diagnosis measures its model as it is, on one held-out batch. Nothing is trained."
      : old ? "The run has changed since: diagnose again." : of === "" ? "Measures the model as it is, on one held-out batch, and tests every known cause of an explosion. Nothing is trained." : "");
    note.hidden = note.textContent === "";
    for (const node of [result, list, tables]) node.classList.toggle("old", old);
  };
  const key = () => `${app.run?.id} ${fault()} ${app.run?.config["model.target_eps"]}`;

  const ask = async () => {
    if (!able() || busy) return;
    busy = true;
    refresh();
    try {
      show(await app.client.request("diagnose", {}));
      of = key();
    } catch (e) {
      put(result, h("p", { class: "problem" }, icon("bad"), ` The diagnosis failed: ${/** @type {any} */ (e)?.message ?? e}`));
      put(list);
      tables.hidden = true;
    } finally {
      busy = false;
      refresh();
    }
  };

  /** @param {Report} r */
  const show = (r) => {
    const healthy = r.cause === "healthy";
    const first = r.hypotheses.find((x) => x.verdict === "supported" && x.cause === r.cause);
    put(result,
      h("p", { class: `cause tone-${healthy ? "good" : r.cause === "undecidable" ? "flat" : "bad"}`, "data-cause": r.cause }, icon(healthy ? "done" : "bad"), h("b", {}, causeIn(r.cause)), h("code", {}, r.cause)),
      h("p", { class: "summary" }, sentence(first ? first.measurement : r.summary)),
      first?.mend ? h("p", { class: "mend" }, h("b", {}, "What to do: "), first.mend) : null,
      h("p", { class: "note" }, `Step ${count(r.step)}${r.bound > 0 ? `, eps ${print(r.eps)}, bound of |z| ${brief(r.bound)}` : ""}. ${tally(r.hypotheses)}`));
    put(list, ...r.hypotheses.map(hypothesis));
    tables.hidden = r.layers.length === 0;
    put(tables, ...layers(r));
  };

  app.on("change", refresh);
  app.on("run", () => {
    refresh();
    if (of.startsWith(`${app.run?.id} `)) return;
    of = "";
    put(result);
    put(list);
    tables.hidden = true;
    refresh();
  });
  refresh();
}

/** @param {Hypothesis[]} all */
function tally(all) {
  const n = (/** @type {string} */ v) => all.filter((x) => x.verdict === v).length;
  const open = n("undecidable");
  return `${all.length} ${all.length === 1 ? "hypothesis" : "hypotheses"} tested: ${n("supported")} supported, ${n("refuted")} refuted${open > 0 ? `, ${open} undecidable` : ""}.`;
}

/** @param {Hypothesis} x */
function hypothesis(x) {
  const v = VERDICTS[x.verdict];
  return h("details", { class: `hypothesis ${x.verdict}`, "data-hypothesis": x.id },
    h("summary", {}, icon(v.icon), h("span", { class: "id" }, x.id), h("span", { class: "what" }, sentence(x.text)), h("span", { class: "word" }, v.word)),
    h("p", {}, sentence(x.measurement)), x.mend ? h("p", {}, x.mend) : null);
}

/** layers are the tables of a report. @param {Report} r */
function layers(r) {
  const columns = /** @type {{ group: string, label: string, text: (i: number) => string, bad?: (i: number) => boolean }[]} */ ([]);
  const at = (/** @type {keyof Report} */ name) => (/** @type {number} */ i) => /** @type {Float64Array | undefined} */ (r[name])?.[i] ?? NaN;
  const range = (/** @type {keyof Report} */ low, /** @type {keyof Report} */ high) => (/** @type {number} */ i) => `${brief(at(low)(i))} to ${brief(at(high)(i))}`;
  const signs = (/** @type {number} */ i) => breaches(/** @type {any} */ (r), i).map((b) => b.sign);
  columns.push(
    { group: "Before", label: "XV", text: range("xvMin", "xvMax") }, { group: "Before", label: "XK", text: range("xkMin", "xkMax") },
    { group: "Before", label: "‖XK‖", text: range("keyMin", "keyMax"), bad: (i) => signs(i).includes("◆") },
    { group: "Normaliser", label: "std, min", text: (i) => brief(at("stdMin")(i)), bad: (i) => signs(i).includes("▼") }, { group: "Normaliser", label: "gain > 100", text: (i) => `${brief(100 * at("highGain")(i))} %` },
    { group: "Normaliser", label: "|z|, max", text: (i) => brief(at("maxZ")(i)), bad: (i) => signs(i).includes("▲") }, { group: "Normaliser", label: "1/(std+eps)", text: (i) => brief(at("gain")(i)) },
    { group: "After", label: "out", text: range("outMin", "outMax") }, { group: "After", label: "not finite", text: (i) => brief(at("nonFinite")(i)), bad: (i) => signs(i).includes("✕") },
  );
  const groups = ["Before", "Normaliser", "After"].map((g) => ({ g, n: columns.filter((c) => c.group === g).length }));
  return [
    h("div", { class: "num-head" }, h("h3", { id: "layers-title" }, "Before and after the normaliser"), help("norm-layers", "the table")),
    h("div", { class: "num-scroll", role: "region", tabIndex: 0, "aria-labelledby": "layers-title" },
      h("table", {},
        h("thead", {}, h("tr", {}, h("td"), ...groups.map(({ g, n }) => h("th", { scope: "colgroup", colSpan: n }, g))), h("tr", {}, h("th", { scope: "col" }, "Layer"), ...columns.map((c) => h("th", { scope: "col" }, c.label)))),
        h("tbody", {}, ...r.layers.map((layer, i) => h("tr", {}, h("th", { scope: "row" }, String(layer)),
          ...columns.map((c) => (c.bad?.(i) ? h("td", { class: "bad" }, icon("bad"), h("span", { class: "for-readers" }, "broken: "), c.text(i)) : h("td", {}, c.text(i))))))))),
  ];
}
