// @ts-check
// What somebody who mistyped a setting's key most likely meant: the rule of the command line (train/keys.go).

import { FIELDS } from "./fields.js";

/** @param {string} key */
const halves = (key) => {
  const dot = key.lastIndexOf(".");
  return { table: key.slice(0, Math.max(0, dot)), name: key.slice(dot + 1) };
};

/**
 * meant lists the keys that key, which is none, may have been meant for: the same name in another table or its label, or a
 * name that is nearly the same; none where none is near.
 * @param {string} key
 * @param {(key: string) => boolean} known keys that there are
 */
export function meant(key, known) {
  const { table, name } = halves(key.toLowerCase().replaceAll("-", "_"));
  const there = FIELDS.filter((f) => known(f.key)).map((f) => ({ key: f.key, ...halves(f.key), label: f.label.toLowerCase().replaceAll(/[ -]/g, "_") }));
  const named = (/** @type {string} */ n) => there.filter((f) => f.name === n).map((f) => f.key);
  const same = named(name);
  if (same.length > 0) return same;
  const labelled = there.filter((f) => f.label === name).map((f) => f.key);
  if (labelled.length > 0) return labelled;
  const inTable = nearest(table, there.map((f) => f.table));
  const near = nearest(name, there.filter((f) => f.table === inTable).map((f) => f.name));
  return near ? [`${inTable}.${near}`] : named(nearest(name, there.map((f) => f.name)));
}

/**
 * nearest is the first of the names that differ from word in the fewest letters, if in no more than a third of them; "":
 * none does.
 * @param {string} word
 * @param {string[]} names
 */
function nearest(word, names) {
  let best = "";
  let least = Infinity;
  for (const n of names) {
    const d = distance(word, n);
    if (d <= Math.max(1, Math.floor(n.length / 3)) && d < Math.min(least, n.length)) [best, least] = [n, d];
  }
  return best;
}

/**
 * distance is how many letters have to be put in, left out, changed, or swapped with the next one to make b of a.
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  if (a.length > 2 * b.length + 8) return a.length; // too far, and perhaps very long
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2][j - 2] + 1 : Infinity;
      row.push(Math.min(rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1), rows[i - 1][j] + 1, row[j - 1] + 1, swapped));
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
