// @ts-check
// Does it go well? A judgement over the losses so far, in a word, for people who have not seen many curves.

/** Losses that are looked back on. */
const KEPT = 4096;

/** Track remembers the losses of the open run, and its speed. */
export class Track {
  /** @type {number[]} */ #losses = []; // the newest KEPT
  step = 0;
  first = NaN; // mean of the first few losses
  last = NaN;
  val = NaN;
  /** Tokens and seconds of the steps that this page saw, the older ones fading. */
  #tokens = 0;
  #seconds = 0;
  #steps = 0;
  #read = -1; // tokens of the run so far

  /** @param {{ rows: { step: number, loss: number, tokens: number }[], seconds: number }} data a steps event @param {number} perStep tokens of a step */
  add(data, perStep) {
    if (data.rows.length === 0) return;
    for (const r of data.rows) this.#losses.push(r.loss);
    if (this.#losses.length > 2 * KEPT) this.#losses.splice(0, this.#losses.length - KEPT);
    const end = data.rows[data.rows.length - 1];
    const begin = this.#read >= 0 ? this.#read : end.tokens - data.rows.length * perStep;
    if (data.seconds > 0) {
      const keep = Math.exp(-data.seconds / 4); // a memory of four seconds
      this.#tokens = keep * this.#tokens + (end.tokens - begin);
      this.#seconds = keep * this.#seconds + data.seconds;
      this.#steps = keep * this.#steps + data.rows.length;
    }
    this.#read = end.tokens;
    this.step = end.step;
    this.last = end.loss;
    if (Number.isNaN(this.first) && data.rows[0].step <= 3) this.first = data.rows[0].loss;
  }

  /** load takes over a kept run's losses. @param {{ step: ArrayLike<number>, loss: ArrayLike<number>, valLoss: ArrayLike<number> }} metrics */
  load(metrics) {
    const n = metrics.step.length;
    this.#losses = Array.from({ length: Math.min(n, KEPT) }, (_, i) => metrics.loss[n - Math.min(n, KEPT) + i]);
    if (n > 0) {
      this.step = metrics.step[n - 1];
      this.last = metrics.loss[n - 1];
      this.first = metrics.step[0] <= 3 ? metrics.loss[0] : NaN;
    }
    if (metrics.valLoss.length > 0) this.val = metrics.valLoss[metrics.valLoss.length - 1];
  }

  /** truncate goes back to step, as a run does that goes on from a checkpoint. @param {number} step */
  truncate(step) {
    const gone = Math.max(0, this.step - step);
    this.#losses.length = Math.max(0, this.#losses.length - gone);
    this.step = step;
    this.#read = -1;
    this.last = this.#losses.at(-1) ?? NaN;
  }

  get tokensPerSecond() {
    return this.#seconds > 0 ? this.#tokens / this.#seconds : NaN;
  }

  get secondsPerStep() {
    return this.#steps > 0 ? this.#seconds / this.#steps : NaN;
  }

  /** smooth is the mean of the newest losses. */
  get smooth() {
    return mean(this.#losses, this.#losses.length - window(this.#losses.length), this.#losses.length);
  }

  get losses() {
    return this.#losses;
  }
}

/** @param {number} n losses */
const window = (n) => Math.max(1, Math.min(100, Math.floor(n / 5)));

/** @param {number[]} x @param {number} from @param {number} to */
function mean(x, from, to) {
  let sum = 0;
  for (let i = Math.max(0, from); i < to; i++) sum += x[i];
  return sum / (to - Math.max(0, from));
}

/** @param {number[]} x @param {number} from @param {number} to @param {number} m */
function deviation(x, from, to, m) {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (x[i] - m) ** 2;
  return Math.sqrt(sum / Math.max(1, to - from - 1));
}

/** The loss of one who knows nothing of bytes, in nats: the logarithm of 256. */
export const BLIND = Math.log(256);

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
  if (now - best > Math.max(0.3, 3 * noise)) return { tone: "bad", word: "Loss is rising", why: "It was lower before. Try a lower learning rate." };
  if (track.val - now > 0.35) return { tone: "flat", word: "Learning by heart", why: "On text it has not seen it does much worse. More text or more weight decay helps." };
  if (before - now > noise) return { tone: "good", word: "Going well", why: "" };
  if (now - before > 3 * noise + 0.05) return { tone: "flat", word: "Wavering", why: "The loss went up a little." };
  if (track.step > 0.7 * steps) return { tone: "good", word: "Levelling off", why: "Near its end a run gains little." };
  return { tone: "flat", word: "Levelling off", why: "The loss hardly falls any more." };
}

/**
 * likeness says a loss as a choice: a model of loss 1.8 hesitates as between 6 bytes.
 * @param {number} loss in nats
 */
export function likeness(loss) {
  const n = Math.exp(loss);
  return n < 10 ? n.toFixed(1) : String(Math.round(n));
}
