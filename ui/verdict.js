// @ts-check
// Does it go well? A judgement over the losses so far, in a word, for people who have not seen many curves.

import { Column, SMOOTHING, Smoothed, lowerBound } from "./columns.js";
import { count, loss } from "./format.js";

/** Losses that the verdict looks back on. */
const KEPT = 4096;

/** Track remembers the losses of the open run, and its speed. */
export class Track {
  #steps = new Column();
  #losses = new Column();
  #smoothed;
  /** Validations, the newest last. @type {{ step: number, loss: number }[]} */ evals = [];
  step = 0;
  /** Tokens and seconds of the steps that this page saw, the older ones fading. */
  #tokens = 0;
  #seconds = 0;
  #read = -1; // tokens of the run so far
  /** Seconds that each of the newest steps took; NaN: not known. */
  stepSeconds = NaN;

  /** @param {number} [smoothing] as the charts have it */
  constructor(smoothing = SMOOTHING) {
    this.#smoothed = new Smoothed(this.#losses, smoothing);
  }

  /** @param {{ rows: { step: number, loss: number, tokens: number }[], seconds: number, left: number }} data a steps event @param {number} perStep tokens of a step @param {number} [steps] of the whole run */
  add(data, perStep, steps = NaN) {
    if (data.rows.length === 0) return;
    for (const r of data.rows) {
      this.#steps.push(r.step);
      this.#losses.push(r.loss);
    }
    const end = data.rows[data.rows.length - 1];
    const begin = this.#read >= 0 ? this.#read : end.tokens - data.rows.length * perStep;
    if (data.seconds > 0) {
      this.stepSeconds = data.seconds / data.rows.length;
      const keep = Math.exp(-data.seconds / 4); // a memory of four seconds
      this.#tokens = keep * this.#tokens + (end.tokens - begin);
      this.#seconds = keep * this.#seconds + data.seconds;
    }
    this.#read = end.tokens;
    this.step = end.step;
    this.#each = data.left / (steps - end.step);
  }

  /** eval adds a validation. @param {number} step @param {number} loss */
  eval(step, loss) {
    this.evals = [...this.evals.filter((e) => e.step < step), { step, loss }];
  }

  /** load takes over a kept run's losses. @param {{ step: ArrayLike<number>, loss: ArrayLike<number>, valStep: ArrayLike<number>, valLoss: ArrayLike<number> }} metrics */
  load(metrics) {
    this.#steps.set(metrics.step);
    this.#losses.set(metrics.loss);
    this.#smoothed.restart();
    this.step = metrics.step.length > 0 ? this.#steps.last : 0;
    this.evals = Array.from(metrics.valStep, (step, i) => ({ step, loss: metrics.valLoss[i] }));
  }

  /** truncate goes back to step, as a run does that goes on from a checkpoint. @param {number} step */
  truncate(step) {
    const n = lowerBound(this.#steps.data, this.#steps.length, step + 1);
    this.#steps.truncate(n);
    this.#losses.truncate(n);
    this.#smoothed.restart();
    this.evals = this.evals.filter((e) => e.step <= step);
    this.step = step;
    this.#read = -1;
  }

  get tokensPerSecond() {
    return this.#seconds > 0 ? this.#tokens / this.#seconds : NaN;
  }

  /** Seconds that a step takes from here to the end of the run, all counted. */
  #each = NaN;

  /** measured says whether this page saw steps of the run. */
  get measured() {
    return this.#seconds > 0;
  }

  /** left is the seconds to the end of a run of so many steps, with validation, samples and checkpoints; NaN: not known. @param {number} steps */
  left(steps) {
    return this.#each * (steps - this.step);
  }

  set smoothing(/** @type {number} */ alpha) {
    this.#smoothed.alpha = alpha;
  }

  /** smooth is the training loss of the newest step, smoothed: the number that the whole page shows for that step. */
  get smooth() {
    this.#smoothed.update();
    return this.#smoothed.last;
  }

  /** smoothAt is the smoothed training loss of a step; NaN: there is none. @param {number} step */
  smoothAt(step) {
    this.#smoothed.update();
    const i = this.#at(step);
    return i < 0 ? NaN : this.#smoothed.data[i];
  }

  /** losses are the newest ones. */
  get losses() {
    const n = this.#losses.length;
    return this.#losses.data.subarray(Math.max(0, n - KEPT), n);
  }

  /**
   * around is what the training loss was at a step: the mean of a window that ends there, and the mean's standard error.
   * @param {number} step
   */
  around(step) {
    const n = this.#at(step) + 1;
    const w = window(n);
    if (n < 2 * w || n < 10) return { mean: NaN, error: NaN };
    const x = this.#losses.data;
    const m = mean(x, n - w, n);
    return { mean: m, error: deviation(x, n - w, n, m) / Math.sqrt(w) };
  }

  /** @param {number} step @returns {number} the index of its loss, or -1 */
  #at(step) {
    const i = lowerBound(this.#steps.data, this.#steps.length, step);
    return i < this.#steps.length && this.#steps.data[i] === step ? i : -1;
  }
}

/** @param {number} n losses */
const window = (n) => Math.max(1, Math.min(100, Math.floor(n / 5)));

/** @param {ArrayLike<number>} x @param {number} from @param {number} to */
function mean(x, from, to) {
  let sum = 0;
  for (let i = Math.max(0, from); i < to; i++) sum += x[i];
  return sum / (to - Math.max(0, from));
}

/** @param {ArrayLike<number>} x @param {number} from @param {number} to @param {number} m */
function deviation(x, from, to, m) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (x[i] - m) ** 2;
  return Math.sqrt(sum / Math.max(1, to - from - 1));
}

/** The loss of one who knows nothing of bytes, in nats: the logarithm of 256. */
export const BLIND = Math.log(256);

/** Losses of which a window is long enough to tell a pause from chance. */
const ENOUGH = 50;

/**
 * judge is a tone (good, flat, bad, or none while it is too early), the word for it, and what it rests on.
 * @param {Track} track
 * @param {number} steps of the whole run
 * @returns {{ tone: "good" | "flat" | "bad" | "none", word: string, why: string }}
 */
export function judge(track, steps) {
  const x = track.losses;
  const n = x.length;
  if (n < 10) return { tone: "none", word: "Just begun", why: "" };
  const w = window(n);
  const now = mean(x, n - w, n);
  const before = mean(x, n - 2 * w, n - w);
  // How far two means of w losses differ by chance.
  const noise = Math.sqrt((deviation(x, n - w, n, now) ** 2 + deviation(x, n - 2 * w, n - w, before) ** 2) / w);
  let best = Infinity;
  for (let i = n; i - w >= 0; i -= w) best = Math.min(best, mean(x, i - w, i));
  if (track.step >= 30 && now > BLIND + 0.2) return { tone: "bad", word: "Not learning", why: "It guesses worse than at random. Try a lower learning rate." };
  if (now - best > Math.max(n < ENOUGH ? 1 : 0.3, 3 * noise)) return { tone: "bad", word: "Loss is rising", why: "It was lower before. Try a lower learning rate." };
  const heart = byHeart(track);
  if (heart) return { tone: "flat", word: "Learning by heart", why: `${heart} More text or more weight decay helps.` };
  if (before - now > noise) return { tone: "good", word: "Going well", why: "" };
  if (n < ENOUGH) return { tone: "none", word: "Just begun", why: "It is too early to say how it goes." };
  if (now - before > 3 * noise + 0.05) return { tone: "flat", word: "Wavering", why: "The loss went up a little." };
  if (track.step > 0.7 * steps) return { tone: "good", word: "Levelling off", why: "Near its end a run gains little." };
  return { tone: "flat", word: "Levelling off", why: "The loss hardly falls any more." };
}

/** What unseen text has to cost more than the training text, in nats, to be worth a word. */
const GAP = 0.35;

/**
 * byHeart says in numbers that the model learns its text by heart, or "": at the last two validations unseen text cost more
 * than the training text did at the same steps, by more than a gap that chance makes, and it does not get cheaper any more.
 * @param {Track} track
 */
function byHeart(track) {
  const last = track.evals.at(-1);
  const before = track.evals.at(-2);
  if (!last || !before) return "";
  for (const e of [before, last]) {
    const { mean: training, error } = track.around(e.step);
    if (!(e.loss - training > Math.max(GAP, 4 * error))) return "";
  }
  if (last.loss < Math.min(...track.evals.slice(0, -1).map((e) => e.loss))) return "";
  const say = (/** @type {{ step: number, loss: number }} */ e) => `at step ${count(e.step)} ${loss(e.loss)} against ${loss(track.smoothAt(e.step))}`;
  return `Unseen text costs more than the training text: ${say(last)}, ${say(before)}.`;
}

/**
 * likeness says a loss as a choice: a model of loss 1.8 hesitates as between 6 bytes. A loss above 14, which only a model
 * that has run away has, would be a number that nobody reads, or infinite.
 * @param {number} loss in nats
 */
export function likeness(loss) {
  const n = Math.exp(loss);
  if (n >= 1e6) return "over a million";
  return n < 10 ? n.toFixed(1) : String(Math.round(n));
}
