// @ts-check
// A run's metrics as columns: loaded whole, then grown by the worker's events.
import { Column, lowerBound } from "./columns.js";

/**
 * @typedef {object} Metrics the worker's reply of the same name
 * @property {string} run
 * @property {ArrayLike<number>} step
 * @property {ArrayLike<number>} loss
 * @property {ArrayLike<number>} gradNorm
 * @property {ArrayLike<number>} lr
 * @property {ArrayLike<number>} tokensPerSecond
 * @property {ArrayLike<number>} valStep
 * @property {ArrayLike<number>} valLoss
 */
/**
 * @typedef {object} StepsData the data of a steps event
 * @property {string} run
 * @property {number} seconds
 * @property {{ step: number, loss: number, gradNorm: number, lr: number, tokens: number }[]} rows
 */
/** @typedef {{ run: string, step: number, loss: number }} EvalData of the data of an eval event */

/** History has the training rows by step and the evaluations by theirs. */
export class History {
  step = new Column();
  loss = new Column();
  gradNorm = new Column();
  lr = new Column();
  tokensPerSecond = new Column();
  valStep = new Column();
  valLoss = new Column();
  #tokens = NaN; // read up to the last row, where it is known

  /** @param {Metrics} m copied */
  load(m) {
    this.clear();
    this.step.set(m.step);
    this.loss.set(m.loss);
    this.gradNorm.set(m.gradNorm);
    this.lr.set(m.lr);
    this.tokensPerSecond.set(m.tokensPerSecond);
    this.valStep.set(m.valStep);
    this.valLoss.set(m.valLoss);
  }

  /**
   * append adds an event's rows. Rows of the same steps and later ones, from before a resume, go.
   * @param {StepsData} data
   * @returns {boolean} whether there were such rows
   */
  append({ rows, seconds }) {
    if (rows.length === 0) return false;
    const replaced = rows[0].step <= this.step.last;
    if (replaced) this.truncate(rows[0].step - 1);
    const { length } = rows;
    const end = rows[length - 1];
    // The rows' tokens, over the time they took together. What was read before them is known from the event before,
    // else from the other steps: those of this event, where it has several; an earlier part of the run may have had others.
    let before = rows[0].step === this.step.last + 1 ? this.#tokens : NaN;
    if (!Number.isFinite(before)) {
      const step = length > 1 ? (end.tokens - rows[0].tokens) / (length - 1) : end.tokens / end.step;
      before = end.tokens - step * length;
    }
    const rate = seconds > 0 ? (end.tokens - before) / seconds : NaN;
    for (const r of rows) {
      this.step.push(r.step);
      this.loss.push(r.loss);
      this.gradNorm.push(r.gradNorm);
      this.lr.push(r.lr);
      this.tokensPerSecond.push(rate);
    }
    this.#tokens = end.tokens;
    return replaced;
  }

  /** eval adds an evaluation, in the place of later ones. @param {EvalData} data */
  eval({ step, loss }) {
    const n = lowerBound(this.valStep.data, this.valStep.length, step);
    this.valStep.truncate(n);
    this.valLoss.truncate(n);
    this.valStep.push(step);
    this.valLoss.push(loss);
  }

  /** truncate forgets what is after step. @param {number} step */
  truncate(step) {
    const n = lowerBound(this.step.data, this.step.length, step + 0.5);
    if (n < this.step.length) this.#tokens = NaN;
    for (const c of [this.step, this.loss, this.gradNorm, this.lr, this.tokensPerSecond]) c.truncate(n);
    const v = lowerBound(this.valStep.data, this.valStep.length, step + 0.5);
    for (const c of [this.valStep, this.valLoss]) c.truncate(v);
  }

  /** clear forgets everything. */
  clear() {
    this.truncate(-1);
  }
}
