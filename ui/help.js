// @ts-check
// The explanations behind every "?".

import { BY_KEY } from "./fields.js";
import { $, h, put } from "./dom.js";

/** @typedef {{ title: string, text: string, formula?: string }} Help */

/** What is not a setting. @type {Map<string, Help>} */
const TEXTS = new Map(Object.entries({
  "loss": { title: "Training loss", text: "How surprised the model is by the next byte, in nats, on the text that it just trained on: lower is better, 5.55 is blind guessing.", formula: "−ln p(next byte), the mean over a step" },
  "val": { title: "Validation loss", text: "The same on text that it never trains on: if it stays above the training loss, the model learns by heart.", formula: "−ln p(next byte), the mean over held-out text" },
  "tokens-per-second": { title: "Tokens a second", text: "Bytes of text that training gets through in a second. Validation, samples and checkpoints are left out: the speed beside the buttons counts them in, so it is lower.", formula: "sequences · length / time of a step" },
  "grad-norm": { title: "Gradient norm", text: "How strongly the loss would change with the weights; spikes tell of trouble before the loss does.", formula: "‖g‖ = √Σ g², before clipping" },
  "learning-rate": { title: "Learning rate", text: "The size of the steps: it rises during the warm-up and then falls along a cosine.", formula: "lr · (r + (1 − r)(1 + cos πt) / 2)" },
  "inner-loop": { title: "Inner loop", text: "How well each layer's inner model reconstructs what it reads, by position: as it was at the start (W₀), before the step on these bytes, and after it. In a healthy model the lines lie in that order and part.", formula: "ℓ(W; x) = ½ ‖LN(f(k; W)) − (v − k)‖²" },
  "drift": { title: "Drift", text: "How far reading has moved the inner model from where it starts.", formula: "‖W_t − W₀‖ / ‖W₀‖" },
  "smoothing": { title: "Smoothing", text: "Draws a running mean over each curve; the faint line is what was measured.", formula: "s ← a·s + (1 − a)·x" },
  "log-axis": { title: "Logarithmic axis", text: "Equal distances are equal factors: small changes near the end stay visible." },
  "runs-overlay": { title: "Overlay", text: "Draws an earlier run's curves behind this one's, for comparison." },
  "samples": { title: "Samples while it trains", text: "What the model makes of the prompts, every few seconds: the marked beginning is given, the rest is its own. A model of sound plays on from silence." },
  "prompt": { title: "You begin, it goes on", text: "The model continues your text byte by byte. Its inner state keeps what it has read, so going on reads only what is new. Point at a byte, or use the arrow keys, for its probability. A model of sound plays on from silence, and then from its own sound.", formula: "p(byte | all before it)" },
  "runs": { title: "Kept runs", text: "Every run with its curves and newest checkpoints, in this browser's own storage: a refresh takes up the last one where it was saved, clearing the site's data loses all. A download is what innerloop generate and --resume read." },
  "status-speed": { title: "Speed", text: "Bytes of text that training gets through in a second, over the last few seconds, with the time that validation, samples and checkpoints take. The speed chart counts the steps alone, so it shows more." },
  "status-memory": { title: "Memory", text: "What the run holds on the GPU, and the program's own memory." },
  "status-storage": { title: "Storage", text: "What the kept runs take of this browser's storage." },
  "status-device": { title: "Trains on", text: "The GPU as the browser names it. Software: a processor plays the GPU, slowly; it is taken only where it is chosen. No GPU: Go itself computes." },
  "norms": { title: "Normaliser by layer and head", text: "The video variant's target is a normalised difference. Whatever its input and eps, |z| stays below its bound, keys have length 1, and nearly no row has a gain above 100: a cell with a sign breaks one of these. The brighter, the nearer to trouble. Arrow keys go from head to head.", formula: "z = (d − mean) / (std + eps), d = XV − XK; |z| ≤ √(n − 1)" },
  "norm-history": { title: "Every probe over the steps", text: "The worst of all heads, and the one that is chosen in the heat map. Numbered lines mark changes of eps and of faults." },
  "norm-layers": { title: "Before and after", text: "What goes into each layer's normaliser, what it makes of it, and what comes out, on the batch of the diagnosis. A sign marks broken invariants." },
  "norm-std": { title: "Smallest standard deviation", text: "Of the rows of XV − XK: where it is nearly 0, eps alone keeps gradients small.", formula: "std = √(Σ (d − mean)² / (n − 1))" },
  "norm-z": { title: "|z| against its bound", text: "The largest normalised value as a part of what it can be at most: above 1, mean, std and difference do not belong together.", formula: "max |z| / √(n − 1)" },
  "norm-high-gain": { title: "Rows with a gain above 100", text: "The share of rows whose gradients are multiplied by more than 100: about none in a healthy model, where it is 4 to 6; nearly all where V and K are nearly equal and eps is below 0.01. Runs of older versions did not count it.", formula: "1 / (std + eps) > 100" },
  "norm-gain": { title: "Amplification", text: "The most that the backward pass multiplies gradients by; 1/eps at worst. Where a faulty normaliser divides by numbers below 0, how near to 0 they come is what counts.", formula: "1 / (std + eps)" },
  "norm-xv": { title: "Largest |XV|", text: "The largest value that goes into the normaliser." },
  "norm-xk": { title: "Largest |XK|", text: "The largest element of a key; keys have length 1, so at most 1." },
  "norm-out": { title: "Largest |out|", text: "The largest value of the target that comes out.", formula: "γ z + β + XK" },
  "norm-key": { title: "‖XK‖ off 1", text: "How far a key's length is from 1, at most: more than rounding says that the normalised keys are not those in use." },
  "norm-nonfinite": { title: "Not finite", text: "Values in and around the normaliser that are infinite or no numbers." },
  "diagnosis": { title: "Diagnosis", text: "Runs the model as it is on one held-out batch and the normaliser by itself, tests every known cause of an explosion against what it measures, and names the first that is supported." },
  "size": { title: "Size", text: "What the settings would make: numbers that are learned, memory on the GPU, and what a step and the whole run take here, with validation, samples and checkpoints: from steps that were measured in this browser, and so not known before the first ones." },
}));

/** @param {string} key @returns {Help | null} */
export function helpFor(key) {
  const field = BY_KEY.get(key);
  if (field) return { title: field.label, text: field.help, ...(field.formula ? { formula: field.formula } : {}) };
  return TEXTS.get(key) ?? null;
}

/** createHelp makes every button.help of the page, now and later, open its explanation: with a click, a key, or a touch. */
export function createHelp() {
  const box = $("help-popover");
  /** @type {HTMLElement | null} */
  let owner = null;

  const close = () => {
    if (!owner) return;
    owner.removeAttribute("aria-describedby");
    owner.setAttribute("aria-expanded", "false");
    owner = null;
    box.hidden = true;
  };
  /** @param {HTMLElement} button */
  const open = (button) => {
    close();
    const key = button.dataset.help ?? "";
    const text = helpFor(key);
    if (!text) return;
    owner = button;
    put(box, h("b", {}, text.title), h("p", {}, text.text), text.formula ? h("p", { class: "formula" }, text.formula) : null, BY_KEY.has(key) ? h("code", {}, key) : null);
    box.hidden = false;
    button.setAttribute("aria-describedby", box.id);
    button.setAttribute("aria-expanded", "true");
    place(box, button.getBoundingClientRect());
  };
  document.addEventListener("click", (e) => {
    const button = e.target instanceof Element ? e.target.closest("button.help") : null;
    if (button instanceof HTMLElement && button !== owner) open(button);
    else if (button === owner || !(e.target instanceof Node && box.contains(e.target))) close();
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") close();
  });
  document.addEventListener("focusin", (e) => {
    if (e.target !== owner) close();
  });
  // It goes along with what it belongs to, until that is out of sight.
  addEventListener("scroll", ({ target }) => {
    if (!owner || !(target instanceof Node && target.contains(owner))) return;
    const at = owner.getBoundingClientRect();
    const view = target instanceof Element ? target.getBoundingClientRect() : { top: 0, bottom: innerHeight };
    if (at.bottom < view.top || at.top > view.bottom) close();
    else place(box, at);
  }, true);
  addEventListener("resize", close);
}

/**
 * place puts a box below what it belongs to, or above where there is no room.
 * @param {HTMLElement} box
 * @param {DOMRect} at
 */
export function place(box, at) {
  const { width, height } = box.getBoundingClientRect();
  const gap = 8;
  const left = Math.min(innerWidth - width - gap, Math.max(gap, at.left + at.width / 2 - width / 2));
  const below = at.bottom + gap + height <= innerHeight;
  box.style.left = `${Math.round(left)}px`;
  box.style.top = `${Math.round(below ? at.bottom + 6 : Math.max(gap, at.top - height - 6))}px`;
}
