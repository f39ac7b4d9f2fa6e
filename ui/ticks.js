// @ts-check
// Where an axis has its ticks, what they are called, and ranges that leave air around a curve.

/**
 * tick is v as an axis writes it whose ticks are increment apart: 0.25, 1,500, 20k, 3e-4.
 * @param {number} v @param {number} increment
 */
export function tick(v, increment) {
  if (v === 0) return "0";
  const a = Math.abs(v);
  const step = increment > 0 ? increment : a;
  if (a >= 1e4 || (a >= 1e3 && step >= 500)) {
    const [by, unit] = a >= 1e9 ? [1e9, "G"] : a >= 1e6 ? [1e6, "M"] : [1e3, "k"];
    return trim((v / by).toFixed(places(step / by))) + unit;
  }
  if (a < 1e-3) {
    const digits = Math.floor(Math.log10(a) + 1e-9) - Math.floor(Math.log10(step) + 1e-9) + (isRound(step) ? 0 : 1);
    return v.toExponential(Math.max(0, digits));
  }
  return v.toFixed(places(step));
}

/** @param {number} step */
const places = (step) => Math.min(9, Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (isRound(step) ? 0 : 1)));

/** isRound: the step has one significant digit, as 0.5 and unlike 0.25. @param {number} step */
function isRound(step) {
  const m = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
  return Math.abs(m - Math.round(m)) < 1e-6;
}

/** @param {string} s */
const trim = (s) => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);

/**
 * logTicks are at most about most ticks of a logarithmic axis: powers of ten, others between them where there is room, and on
 * less than a decade round numbers at equal distances.
 * @param {number} low @param {number} high both above 0 @param {number} most
 */
export function logTicks(low, high, most) {
  if (high < 10 * low) return linearTicks(low, high, most);
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = powers(first, last, 1, factors).filter((v) => v >= low && v <= high);
    if (ticks.length <= most + 1) return ticks;
  }
  return powers(first, last, Math.ceil((last - first) / Math.max(1, most)), [1]).filter((v) => v >= low && v <= high);
}

/** @param {number} first @param {number} last @param {number} stride @param {number[]} factors */
function powers(first, last, stride, factors) {
  const values = [];
  for (let d = Math.ceil(first / stride) * stride; d <= last; d += stride) for (const f of factors) values.push(Number(`${f}e${d}`));
  return values;
}

/** linearTicks are at most about most round numbers at equal distances. @param {number} low @param {number} high @param {number} most */
export function linearTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * (rough <= power ? 1 : rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
  /** @type {number[]} */
  const ticks = [];
  // Counted, and no more than fit: beside numbers of its size a step may be nothing, and they would never reach high.
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.min(Math.floor(high / step + 1e-9), first + 2 * Math.max(1, most) + 1);
  for (let k = first; k <= last; k++) {
    const v = Number((k * step).toPrecision(12));
    if (v !== ticks.at(-1)) ticks.push(v);
    if (k + 1 === k) break;
  }
  return ticks;
}

/**
 * around is the range of an axis for values from low to high: some air, and a span of its own where they are one value
 * or none at all.
 * @param {number} low @param {number} high @param {boolean} log @param {boolean} zero begin at 0
 * @returns {[number, number]}
 */
export function around(low, high, log, zero) {
  if (!(low <= high)) return log ? [0.1, 10] : [0, 1];
  if (log) {
    const f = Math.max(1.08, (high / low) ** 0.06) * (high / low < 1.2 ? 1.15 : 1);
    return [low / f, high * f];
  }
  if (zero && low >= 0) return [0, high > 0 ? high * 1.1 : 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const air = high - low > 1e-9 * size ? 0.06 * (high - low) : Math.max(size * 0.05, 1e-9); // a rounding apart is one value
  return [low - air, high + air];
}
