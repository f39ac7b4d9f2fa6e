// @ts-check
// What the person has set: the trainer's defaults and what differs from them. No page in here.

import { BY_KEY, FIELDS, PRESETS, check } from "./fields.js";

/** @typedef {import("./fields.js").Value} Value */
/** @typedef {{ [key: string]: Value }} Config flat, by dotted keys */

/**
 * same compares two values of the configuration.
 * @param {Value | undefined} a
 * @param {Value | undefined} b
 */
export const same = (a, b) => a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x, i) => x === b[i]));

/** Settings are values by key; of the keys only those that the page knows and the trainer has. */
export class Settings {
  /** @type {Map<string, Value>} */ #defaults = new Map();
  /** @type {Map<string, Value>} */ #own = new Map();
  /** Defaults that follow from what is set, as the trainer has them. @type {Map<string, Value>} */ #followed = new Map();
  /** @type {Set<(keys: string[]) => void>} */ #listeners = new Set();
  /** How often all of them came from elsewhere at once: what was typed before counts no more. */
  replaced = 0;

  /** @param {Config} defaults the trainer's, with every key */
  constructor(defaults) {
    const known = new Map(Object.entries(defaults));
    for (const f of FIELDS) {
      const v = known.get(f.key);
      if (v !== undefined) this.#defaults.set(f.key, v);
    }
  }

  /** keys are those that there are, in the order of the page. */
  keys() {
    return [...this.#defaults.keys()];
  }

  /** @param {string} key */
  has(key) {
    return this.#defaults.has(key);
  }

  /** @param {string} key */
  get(key) {
    return this.#own.get(key) ?? this.#followed.get(key) ?? this.#defaults.get(key);
  }

  /** @param {string} key */
  initial(key) {
    return this.#defaults.get(key);
  }

  /** differs says whether key has another value than the default. @param {string} key */
  differs(key) {
    return this.#own.has(key);
  }

  /**
   * set changes a value, or says what is wrong with it and leaves it.
   * @param {string} key
   * @param {unknown} value
   * @returns {string}
   */
  set(key, value) {
    const field = BY_KEY.get(key);
    if (!field || !this.has(key)) return "unknown setting";
    const error = check(field, value);
    if (error) return error;
    if (!same(this.get(key), /** @type {Value} */ (value))) {
      this.#put(key, /** @type {Value} */ (value));
      this.#tell([key]);
    }
    return "";
  }

  /**
   * follow takes from the trainer what defaults become with what is set: a hybrid has no convolution, and a fault brings the
   * variant that has it.
   * @param {Config} config whole, as the trainer understood it
   * @param {Config} sent the overrides that it was made of
   * @returns {string[]} the keys whose values are others now
   */
  follow(config, sent) {
    const before = new Map(this.keys().map((k) => [k, this.get(k)]));
    this.#followed.clear();
    for (const [key, value] of Object.entries(config)) {
      if (this.has(key) && !(key in sent) && !same(value, this.#defaults.get(key))) this.#followed.set(key, value);
    }
    return this.keys().filter((k) => !same(before.get(k), /** @type {Value} */ (this.get(k))));
  }

  /** reset gives key its default back. @param {string} key */
  reset(key) {
    if (this.#own.delete(key)) this.#tell([key]);
  }

  /**
   * replace sets what entries says and everything else to its default. Values that do not fit are passed over.
   * @param {Iterable<[string, unknown]>} entries
   */
  replace(entries) {
    this.replaced++;
    const before = new Map(this.#own);
    this.#own.clear();
    this.#followed.clear();
    for (const [key, value] of entries) {
      const field = BY_KEY.get(key);
      if (field && this.has(key) && check(field, value) === "") this.#put(key, /** @type {Value} */ (value));
    }
    const changed = this.keys().filter((k) => !same(before.get(k), this.#own.get(k)));
    if (changed.length > 0) this.#tell(changed);
  }

  /**
   * preset applies one of PRESETS; the data stay.
   * @param {string} id
   * @param {boolean} [software] a processor plays the GPU, and some are smaller
   */
  preset(id, software = false) {
    const preset = PRESETS.find((p) => p.id === id);
    if (preset) this.replace([...this.#data(), ...preset.values, ...((software && preset.software) || [])]);
  }

  /** current is the preset that the settings are, or "". */
  current() {
    const mine = [...this.#own].filter(([k]) => !k.startsWith("data."));
    for (const p of PRESETS) {
      for (const list of [p.values, [...p.values, ...(p.software ?? [])]]) {
        const values = [...new Map(list)].filter(([k, v]) => this.has(k) && !same(v, this.#defaults.get(k)));
        if (values.length === mine.length && values.every(([k, v]) => same(this.#own.get(k), v))) return p.id;
      }
    }
    return "";
  }

  /** overrides is what differs from the defaults. @returns {Config} */
  overrides() {
    return Object.fromEntries(this.keys().flatMap((k) => (this.#own.has(k) ? [[k, /** @type {Value} */ (this.#own.get(k))]] : [])));
  }

  /** onChange calls fn with the keys that changed, after each change. @param {(keys: string[]) => void} fn */
  onChange(fn) {
    this.#listeners.add(fn);
  }

  #data() {
    return [...this.#own].filter(([k]) => k.startsWith("data."));
  }

  /** @param {string} key @param {Value} value */
  #put(key, value) {
    // What a default would be but is not, for another setting, is said: the trainer then tells what contradicts what.
    if (same(value, this.#defaults.get(key)) && !this.#followed.has(key)) this.#own.delete(key);
    else this.#own.set(key, value);
  }

  /** @param {string[]} keys */
  #tell(keys) {
    for (const fn of this.#listeners) fn(keys);
  }
}

/**
 * differences lists the keys in which two configurations differ, in the page's order, with both values.
 * @param {Config} a
 * @param {Config} b
 * @returns {{ key: string, a: Value | undefined, b: Value | undefined }[]}
 */
export function differences(a, b) {
  const x = new Map(Object.entries(a));
  const y = new Map(Object.entries(b));
  const order = [...BY_KEY.keys()];
  const keys = [...new Set([...x.keys(), ...y.keys()])].filter((k) => !same(x.get(k), y.get(k)));
  const place = (/** @type {string} */ k) => (order.indexOf(k) + order.length + 1) % (order.length + 1); // unknown ones last
  return keys.sort((p, q) => place(p) - place(q) || (p < q ? -1 : 1)).map((key) => ({ key, a: x.get(key), b: y.get(key) }));
}
