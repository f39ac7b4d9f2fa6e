// @ts-check
// The explanations behind every "?".

import { BY_KEY } from "./fields.js";
import { $, h, put } from "./dom.js";

/** @typedef {{ title: string, text: string, formula?: string }} Help */

/** What is not a setting. @type {Map<string, Help>} */
const TEXTS = new Map(Object.entries({
  "loss": { title: "Training loss", text: "How surprised the model is by the next byte, in nats, on the text that it just trained on: lower is better, 5.55 is blind guessing.", formula: "−ln p(next byte), the mean over a step" },
  "val": { title: "Validation loss", text: "The same on text that it never trains on: if it stays above the training loss, the model learns by heart.", formula: "−ln p(next byte), the mean over held-out text" },
  "tokens-per-second": { title: "Tokens a second", text: "Bytes of text that training gets through in a second.", formula: "sequences · length / time of a step" },
  "grad-norm": { title: "Gradient norm", text: "How strongly the loss would change with the weights; spikes tell of trouble before the loss does.", formula: "‖g‖ = √Σ g², before clipping" },
  "learning-rate": { title: "Learning rate", text: "The size of the steps: it rises during the warm-up and then falls along a cosine.", formula: "lr · (r + (1 − r)(1 + cos πt) / 2)" },
  "inner-loop": { title: "Inner loop", text: "How well each layer's inner model reconstructs what it reads, by position: as it was at the start (W₀), before the step on these bytes, and after it. In a healthy model the lines lie in that order and part.", formula: "ℓ(W; x) = ½ ‖LN(f(k; W)) − (v − k)‖²" },
  "drift": { title: "Drift", text: "How far reading has moved the inner model from where it starts.", formula: "‖W_t − W₀‖ / ‖W₀‖" },
  "smoothing": { title: "Smoothing", text: "Draws a running mean over each curve; the faint line is what was measured.", formula: "s ← a·s + (1 − a)·x" },
  "log-axis": { title: "Logarithmic axis", text: "Equal distances are equal factors: small changes near the end stay visible." },
  "runs-overlay": { title: "Overlay", text: "Draws an earlier run's curves behind this one's, for comparison." },
  "samples": { title: "Samples while it trains", text: "What the model makes of the prompts, every few seconds: the marked beginning is given, the rest is its own." },
  "prompt": { title: "You begin, it goes on", text: "The model continues your text byte by byte. Its inner state keeps what it has read, so going on reads only what is new. Point at a byte, or use the arrow keys, for its probability.", formula: "p(byte | all before it)" },
  "runs": { title: "Kept runs", text: "Every run with its curves and newest checkpoints, in this browser's own storage: a refresh loses nothing, clearing the site's data loses all. A download is what innerloop generate and --resume read." },
  "status-speed": { title: "Speed", text: "Bytes of text that training gets through in a second, over the last few seconds." },
  "status-memory": { title: "Memory", text: "What the run holds on the GPU, and the program's own memory." },
  "status-storage": { title: "Storage", text: "What the kept runs take of this browser's storage." },
  "status-device": { title: "Trains on", text: "The GPU as the browser names it. Software: a processor plays the GPU, slowly. No GPU: Go itself computes." },
  "size": { title: "Size", text: "What the settings would make: numbers that are learned, memory on the GPU, and the time that a step should take here." },
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
  addEventListener("scroll", (e) => e.target instanceof Node && e.target.contains(owner) && close(), true);
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
