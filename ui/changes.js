// @ts-check
// What was changed in the course of a run: in words, and what the run was before. No page in here.

import { BY_KEY } from "./fields.js";
import { same } from "./settings.js";
import { count, value as show } from "./format.js";

/** @typedef {import("./messages.d.ts").Run} Run */
/** @typedef {import("./messages.d.ts").Change} Change */
/** @typedef {import("./fields.js").Value} Value */

/**
 * beginning is the configuration with which a run began: what a run that is started with it is the same as, until the first
 * change.
 * @param {Pick<Run, "config" | "changes">} run
 * @returns {{ [key: string]: Value }}
 */
export function beginning(run) {
  const config = { ...run.config };
  for (const c of [...run.changes].reverse()) if (c.key in config) config[c.key] = c.from;
  return config;
}

/** told is a change in words: Learning rate 0.003 → 0.01. @param {Change} c */
export const told = (c) => `${BY_KEY.get(c.key)?.label ?? c.key} ${show(c.from) || "none"} → ${show(c.to) || "none"}`;

/**
 * marks are the steps from which on something is different, each with all that changed there.
 * @param {Change[]} changes in the order of their steps
 * @returns {{ step: number, text: string }[]}
 */
export function marks(changes) {
  /** @type {{ step: number, text: string }[]} */
  const list = [];
  for (const c of changes) {
    const last = list.at(-1);
    if (last?.step === c.step + 1) last.text += `, ${told(c)}`;
    else list.push({ step: c.step + 1, text: told(c) });
  }
  return list;
}

/** summary says all changes in a line. @param {Change[]} changes */
export const summary = (changes) => marks(changes).map((m) => `${m.text} from step ${count(m.step)} on`).join("; ");

/**
 * waits says whether a setting is another than what a run has, and had at its beginning: it acts on the next start.
 * @param {Run} run
 * @param {string} key
 * @param {Value | undefined} value
 */
export function waits(run, key, value) {
  if (run.config[key] === undefined || same(run.config[key], value)) return false;
  const first = run.changes.find((c) => c.key === key);
  return !first || !same(first.from, value);
}
