// @ts-check
// The share link: what differs from the defaults, as #model.hidden_size=64&train.lr=0.01. Whoever made a link is a
// stranger: each entry is checked by itself, and what does not fit is named and left out.

import { BY_KEY, parse, print } from "./fields.js";
import { meant } from "./meant.js";

/** @typedef {import("./fields.js").Value} Value */
/** @typedef {{ key: string, reason: string }} Refusal */

/** Longest entry, in characters of the link. */
const LONGEST = 16384;
/** Refusals that are told one by one. */
const TOLD = 12;

/**
 * encode is the link's fragment with its "#", or "" for the defaults.
 * @param {Iterable<[string, Value]>} entries
 */
export function encode(entries) {
  const parts = [];
  for (const [key, value] of entries) parts.push(`${key}=${encodeURIComponent(print(value)).replace(/%(2F|3A|2C)/g, decodeURIComponent)}`);
  return parts.length > 0 ? `#${parts.join("&")}` : "";
}

/**
 * decode reads a fragment. refused names at most a dozen of what was left out, more how many others there were.
 * @param {string} fragment with or without its "#"
 * @param {(key: string) => boolean} known keys that there are
 * @returns {{ values: Map<string, Value>, refused: Refusal[], more: number }}
 */
export function decode(fragment, known) {
  /** @type {Map<string, Value>} */
  const values = new Map();
  /** @type {Refusal[]} */
  const refused = [];
  let more = 0;
  const refuse = (/** @type {string} */ key, /** @type {string} */ reason) => {
    if (refused.length < TOLD) refused.push({ key: clip(key), reason });
    else more++;
  };
  const unknown = (/** @type {string} */ key) => {
    const near = refused.length < TOLD ? meant(key, known).join(" or ") : ""; // a link may have very many
    return near ? `unknown setting: did you mean ${near}?` : "unknown setting";
  };
  const text = fragment.startsWith("#") ? fragment.slice(1) : fragment;
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("&", at);
    const part = text.slice(at, end < 0 ? text.length : end);
    at = end < 0 ? text.length : end + 1;
    if (part === "") continue;
    const eq = part.indexOf("=");
    const key = eq < 0 ? part : part.slice(0, eq);
    if (part.length > LONGEST) refuse(key, `${part.length.toString()} characters, want at most ${LONGEST}`);
    else if (eq < 0) refuse(key, "want setting=value");
    else {
      const field = BY_KEY.get(key);
      if (!field || !known(key)) refuse(key, unknown(key));
      else if (values.has(key)) refuse(key, "named twice: the first counts");
      else {
        const { value, error } = entry(field, part.slice(eq + 1));
        if (value === undefined) refuse(key, error);
        else values.set(key, value);
      }
    }
  }
  return { values, refused, more };
}

/**
 * @param {import("./fields.js").Field} field
 * @param {string} raw
 * @returns {{ value: Value | undefined, error: string }}
 */
function entry(field, raw) {
  let text;
  try {
    text = decodeURIComponent(raw);
  } catch {
    return { value: undefined, error: "not a percent-encoded text" };
  }
  const got = parse(field, text);
  if (got.value === undefined) return { value: undefined, error: `got ${clip(text)}, ${got.error}` };
  // A link may name a text of this browser, and no other file.
  if (field.key === "data.file" && !/^(\/texts\/[^/\\]{1,200})?$/.test(String(got.value))) return { value: undefined, error: `got ${clip(text)}, want a text of this browser, /texts/NAME` };
  return got;
}

/** @param {string} s */
const clip = (s) => {
  const clean = s.replace(/[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "·");
  return clean === "" ? "(nothing)" : clean.length > 40 ? `${[...clean].slice(0, 40).join("")}…` : clean;
};
