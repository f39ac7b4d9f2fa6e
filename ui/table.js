// @ts-check
// The numbers behind a chart: a table for people and screen readers, and all of them as a file.
import { h, put } from "./dom.js";

/**
 * @typedef {object} Field
 * @property {string} label with its unit
 * @property {(row: number) => string} text
 */

/** DataTable is a table that keeps its cells from one filling to the next. */
export class DataTable {
  #head = h("tr");
  #body = h("tbody");
  #caption = h("caption");

  /** @param {HTMLElement} host */
  constructor(host) {
    host.append(h("table", {}, this.#caption, h("thead", {}, this.#head), this.#body));
  }

  /** @param {string} caption @param {Field[]} fields @param {number[]} rows the newest last */
  fill(caption, fields, rows) {
    set(this.#caption, caption);
    if (this.#head.cells.length !== fields.length) {
      put(this.#head, ...fields.map(() => h("th", { scope: "col" })));
      put(this.#body);
    }
    fields.forEach((f, i) => set(this.#head.cells[i], f.label));
    while (this.#body.rows.length > rows.length) this.#body.deleteRow(-1);
    while (this.#body.rows.length < rows.length) {
      this.#body.append(h("tr", {}, ...fields.map((_, i) => (i === 0 ? h("th", { scope: "row" }) : h("td")))));
    }
    rows.forEach((row, r) => fields.forEach((f, i) => set(this.#body.rows[r].cells[i], f.text(row))));
  }
}

/** @param {Element} node @param {string} text */
function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * cell is a value of a CSV file (RFC 4180): numbers in full, nothing for undefined. Text that a spreadsheet would take for a
 * formula begins with an apostrophe.
 * @param {string | number | undefined} v
 */
export function cell(v) {
  if (v === undefined) return "";
  if (typeof v === "number") return String(v);
  const s = /^[=+\-@\t\r]/.test(v) ? `'${v}` : v;
  return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
}

/**
 * csv makes a file of lines, a few thousand at a time, so that the page stays awake.
 * @param {string[]} header
 * @param {Iterable<(string | number | undefined)[]>} rows
 * @param {() => Promise<void>} [pause]
 */
export async function csv(header, rows, pause = () => new Promise((f) => setTimeout(f))) {
  /** @type {string[]} */
  const parts = [];
  let lines = [header.map(cell).join(",")];
  for (const row of rows) {
    lines.push(row.map(cell).join(","));
    if (lines.length < 4000) continue;
    parts.push(lines.join("\r\n") + "\r\n");
    lines = [];
    await pause();
  }
  if (lines.length > 0) parts.push(lines.join("\r\n") + "\r\n");
  return new Blob(parts, { type: "text/csv" });
}

/** save gives the person a file. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const a = h("a", { href: URL.createObjectURL(blob), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}
