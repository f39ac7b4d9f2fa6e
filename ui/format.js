// @ts-check
// Numbers as people read them.

/** @param {number} n 1234567 is 1,234,567 */
export const count = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");

/**
 * digits is x with three significant digits and no exponent, for numbers that fit a line.
 * @param {number} x
 */
export function digits(x) {
  if (!Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const a = Math.abs(x);
  if (a >= 999.5) return count(x);
  if (a < 1e-4) return x.toExponential(1);
  return x.toFixed(a >= 99.95 ? 0 : a >= 9.995 ? 1 : a >= 0.9995 ? 2 : Math.min(7, 2 - Math.floor(Math.log10(a))));
}

/** @param {number} x a loss: three decimals */
export const loss = (x) => (Number.isFinite(x) ? x.toFixed(3) : "–");

/**
 * scaled is x with one of the units, which are factors of 1000 apart.
 * @param {number} x
 * @param {string[]} units
 * @returns {[string, string]} number and unit
 */
function scaled(x, units) {
  let i = 0;
  while (i + 1 < units.length && x >= 999.5) {
    x /= 1000;
    i++;
  }
  return [i === 0 ? String(Math.round(x)) : digits(x), units[i]];
}

/** @param {number} n 12,300,000 is 12.3 MB */
export const bytes = (n) => scaled(n, ["bytes", "kB", "MB", "GB", "TB"]).join(" ");

/** @param {number} n 360,000 is 360 k, 1,230,000 is 1.23 M */
export const short = (n) => scaled(n, ["", "k", "M", "G"]).join(" ").trim();

/** @param {number} n parameters: from 100,000 on in millions, as papers have them */
export const parameters = (n) => (n < 1e5 ? count(n) : n < 1e9 ? `${digits(n / 1e6)} M` : `${digits(n / 1e9)} G`);

/** @param {number} s seconds: 35 ms, 0.8 s, 42 s, 3 min 05 s, 2 h 04 min */
export function duration(s) {
  if (!Number.isFinite(s) || s < 0) return "–";
  if (s < 0.0995) return `${digits(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const t = Math.round(s);
  if (t < 3600) return `${Math.floor(t / 60)} min ${two(t % 60)} s`;
  const m = Math.round(s / 60);
  return m < 48 * 60 ? `${Math.floor(m / 60)} h ${two(m % 60)} min` : `${count(m / 60 / 24)} days`;
}

/** The units of estimates, short and at length, with their seconds. @type {[seconds: number, short: string, one: string, many: string][]} */
const UNITS = [[1e-3, "ms", "millisecond", "milliseconds"], [1, "s", "second", "seconds"], [60, "min", "minute", "minutes"], [3600, "h", "hour", "hours"], [86400, "days", "day", "days"]];

/**
 * rough is a time as coarsely as it can be known beforehand: its number, and the unit's place in UNITS.
 * @param {number} s seconds
 * @param {(x: number) => number} round
 * @returns {[number, number]}
 */
function rough(s, round) {
  /** @type {[below: number, unit: number, grain: number][]} */
  const grains = [[0.01, 0, 1], [0.095, 0, 5], [0.95, 0, 50], [9.5, 1, 1], [57.5, 1, 5], [570, 2, 1], [3450, 2, 5], [5700, 2, 10], [36 * 3600, 3, 1], [Infinity, 4, 1]];
  const [, unit, grain] = grains.find(([below]) => s < below) ?? [0, 4, 1];
  return [Math.max(grain, round(s / UNITS[unit][0] / grain) * grain), unit];
}

/**
 * about says a time that was not measured but expected, from the least to the most: about 3 minutes, 1 to 2 hours; "" where
 * it is not known.
 * @param {{ low: number, high: number }} span in seconds
 * @param {boolean} [brief] in few characters: ≈ 3 min, 1–2 h
 */
export function about({ low, high }, brief = false) {
  if (!(low > 0 && high >= low && high < Infinity)) return "";
  const name = (/** @type {number} */ n, /** @type {number} */ unit) => (brief ? UNITS[unit][1] : UNITS[unit][n === 1 ? 2 : 3]);
  if (high < 1.5 * low) {
    const [n, unit] = rough(Math.sqrt(low * high), Math.round);
    return `${brief ? "≈" : "about"} ${count(n)} ${name(n, unit)}`;
  }
  const [a, from] = rough(low, Math.floor);
  const [b, to] = rough(high, Math.ceil);
  const between = brief ? "–" : " to ";
  if (from === to) return `${count(a)}${between}${count(b)} ${name(b, to)}`;
  return `${count(a)} ${name(a, from)}${brief ? " – " : " to "}${count(b)} ${name(b, to)}`;
}

/**
 * plural is 1 step, 2 steps.
 * @param {number} n
 * @param {string} noun
 */
export const plural = (n, noun) => `${count(n)} ${noun}${Math.round(n) === 1 ? "" : "s"}`;

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** @param {string} rfc3339 */
export function date(rfc3339) {
  const t = new Date(rfc3339);
  return Number.isNaN(t.getTime()) ? "" : day.format(t);
}

/** @param {unknown} v a value of the configuration, in few characters */
export function value(v) {
  if (typeof v === "boolean") return v ? "on" : "off";
  const s = Array.isArray(v) ? v.map((x) => JSON.stringify(x)).join(", ") : String(v);
  return s === "" ? "none" : s.length > 40 ? `${s.slice(0, 39)}…` : s;
}

/**
 * glyph is a character as a person can see it: spaces and control characters have signs.
 * @param {string} c
 */
export function glyph(c) {
  if (c === " ") return "␣";
  if (c === "\n") return "↵";
  if (c === "\t") return "⇥";
  const code = c.codePointAt(0) ?? 0;
  if (code < 32 || code === 127) return `0x${code.toString(16).padStart(2, "0")}`;
  return c;
}

/**
 * byteGlyph is a single byte: a character where it is one, its number in hexadecimal where it is part of one.
 * @param {number} b
 */
export const byteGlyph = (b) => (b < 128 ? glyph(String.fromCharCode(b)) : `0x${b.toString(16)}`);

/** @param {number} p a probability */
export const percent = (p) => (p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(0)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

/** ended is s with a full stop, unless it ends in a stop of its own. @param {string} s */
export const ended = (s) => (s === "" || /[.:!?…]$/.test(s) ? s : `${s}.`);
