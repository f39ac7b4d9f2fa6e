// @ts-check
// What every chart has around its plot: title, legend, tools (explanation, CSV, PNG, table), a cursor for the keyboard, a
// sentence for who cannot see it, and what stands there before there is anything to see.
import { Pacer, lowerBound, nearest } from "./columns.js";
import { h, help, put } from "./dom.js";
import { Plot, font } from "./plot.js";
import { DataTable, save } from "./table.js";

/** @typedef {import("./plot.js").Axes} Axes */
/** @typedef {import("./curve.js").Curve} Curve */
/** @typedef {import("./curve.js").Theme} Theme */
/** @typedef {import("./group.js").Group} Group */
/** @typedef {import("./table.js").Field} Field */
/**
 * @typedef {object} Entry of the legend
 * @property {string} label
 * @property {string} [note] what it is, at length
 * @property {Curve[]} curves of which the last looks like the swatch
 * @property {(x: number | null) => string} text the value at x, or the newest
 */
/**
 * @typedef {object} Parts
 * @property {string} key of its explanation
 * @property {string} title
 * @property {string} unit
 * @property {string} empty what it says before there is anything
 * @property {string} sketch what it looks like then: a path of 100 x 40
 * @property {Axes} axes
 * @property {boolean} [small]
 * @property {(x: number | null) => string} [now] small: the value beside the title
 * @property {() => string} of which run, or part of a model, for pictures
 * @property {() => string} summary what it shows, in a sentence or two
 * @property {() => { caption: string, fields: Field[], rows: number[] }} table
 * @property {() => Promise<Blob>} csv
 * @property {() => string} file the files' name without its end
 */

let made = 0;

/** Figure is a chart with everything around it. */
export class Figure {
  /** @type {Entry[]} */
  #entries = [];
  /** @type {{ entry: Entry, value: HTMLElement }[]} */
  #values = [];
  /** @type {DataTable | null} */
  #table = null;
  #tablePace = new Pacer(() => this.#fillTable(), 1000);
  #summaryPace = new Pacer(() => this.#summarise(), 3000);

  /** @param {Group} group @param {Theme} theme @param {Parts} parts */
  constructor(group, theme, parts) {
    this.group = group;
    this.theme = theme;
    this.parts = parts;
    const id = `chart-title-${++made}`;
    const lower = parts.title.toLowerCase();
    this.unit = h("span", { class: "chart-unit" }, parts.unit);
    this.now = h("span", { class: "chart-now" });
    this.extra = h("div", { class: "chart-extra" });
    this.at = h("span", { class: "chart-at" });
    this.items = h("div", { class: "chart-items" });
    this.reset = h("button", { type: "button", class: "chart-reset", hidden: true, onclick: () => group.show(null) });
    this.legend = h("div", { class: "chart-legend" }, this.at, this.items);
    this.canvas = h("div", { class: "chart-canvas", role: "img", "aria-label": parts.empty });
    this.cursor = h("input", {
      type: "range", class: "chart-cursor", min: "0", max: "0", "aria-label": `${parts.title}: ${parts.axes.x} at the cursor`, disabled: true,
      onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
      oninput: () => this.#walk(Number(this.cursor.value)),
    });
    this.empty = h("div", { class: "chart-empty" }, sketch(parts.sketch), h("p", {}, parts.empty));
    this.body = h("div", { class: "chart-body" }, this.canvas, this.cursor, this.empty, parts.small ? null : this.reset);
    this.sheet = h("div", { class: "chart-table", role: "region", tabIndex: 0, "aria-label": `${parts.title}: table`, hidden: true });
    this.tableButton = h("button", { type: "button", "aria-pressed": "false", title: "The numbers as a table", onclick: () => this.#toggleTable() }, "Table");
    const menu = h("div", { class: "chart-menu", id: `${id}-menu` },
      h("button", { type: "button", title: "All numbers as a CSV file", onclick: () => this.#csv() }, "CSV"),
      h("button", { type: "button", title: "The chart as a PNG picture", onclick: () => this.#png() }, "PNG"),
      this.tableButton);
    const more = h("button", { type: "button", class: "chart-more", "aria-expanded": "false", "aria-controls": menu.id, "aria-label": `${parts.title}: files and table` }, "⋯");
    this.help = help(parts.key, `the ${lower} chart`);
    this.tools = h("div", { class: "chart-tools", role: "group", "aria-label": `${parts.title} chart` }, more, menu);
    open(more, menu, this.tools);
    this.element = h("figure", { class: `chart${parts.small ? " chart-small" : ""}`, "aria-labelledby": id },
      h("div", { class: "chart-head" },
        h("h3", { class: "chart-title", id }, parts.title), this.help, parts.small ? null : this.unit, this.extra, this.tools),
      parts.small ? h("p", { class: "chart-reading" }, this.now, this.unit) : this.legend, this.body, this.sheet);
    this.element.dataset.chart = parts.key;
    this.plot = new Plot(this.canvas, group, theme, parts.axes);
  }

  /** entries are what the legend names. */
  get entries() {
    return this.#entries;
  }

  set entries(entries) {
    this.#entries = entries;
    this.#values = [];
    put(this.items, ...entries.map((entry) => {
      const value = h("span", { class: "chart-value" });
      this.#values.push({ entry, value });
      const { style } = entry.curves[entry.curves.length - 1];
      const item = h("button", {
        type: "button", class: "chart-item", title: entry.note ?? `Show or hide: ${entry.label}`, "aria-pressed": String(entry.curves.some((c) => c.shown)),
        onclick: () => {
          const shown = !entry.curves.some((c) => c.shown);
          for (const c of entry.curves) c.shown = shown;
          item.setAttribute("aria-pressed", String(shown));
          this.group.redraw(true);
        },
      }, style.tag && !entry.label.startsWith(style.tag) ? h("b", {}, style.tag) : null, swatch(style), h("span", { class: "chart-label" }, entry.label), value);
      return item;
    }));
    this.read();
  }

  /** read writes the values at the cursor, or the newest. */
  read() {
    const x = this.group.cursor;
    if (this.parts.small) text(this.now, this.plot.empty ? "" : (this.parts.now?.(x) ?? ""));
    for (const { entry, value } of this.#values) text(value, entry.text(x));
  }

  /** update follows a redraw: what there is to see is also said, at leisure. */
  update() {
    const { empty } = this.plot;
    this.element.classList.toggle("chart-is-empty", empty);
    this.empty.hidden = !empty;
    this.cursor.disabled = empty;
    this.read();
    this.#summaryPace.ask();
    if (this.#table) this.#tablePace.ask();
  }

  /** moved follows the cursor. */
  moved() {
    this.read();
    if (document.activeElement === this.cursor) this.#say();
  }

  /** zoomed follows the range. @param {string} what it is, where it is a part */
  zoomed(what) {
    this.reset.hidden = !this.group.zoom;
    text(this.reset, "Show all");
    this.reset.title = what;
  }

  #summarise() {
    this.canvas.setAttribute("aria-label", this.plot.empty ? this.parts.empty : this.parts.summary());
    this.#say();
  }

  // The slider under the plot is the cursor for keyboard and screen reader.
  #say() {
    const steps = this.group.steps();
    if (!steps) return;
    const x = this.group.cursor;
    const i = x === null ? steps.length - 1 : nearest(steps.data, steps.length, x);
    this.cursor.max = String(steps.length - 1);
    this.cursor.value = String(i);
    const values = this.parts.small ? `${this.parts.now?.(x) ?? ""}` : this.#entries.map((e) => `${e.label} ${e.text(x)}`).join(", ");
    this.cursor.setAttribute("aria-valuetext", `${this.parts.axes.x} ${steps.data[i]}: ${values}`);
  }

  /** @param {number} i */
  #walk(i) {
    const steps = this.group.steps();
    if (steps) this.group.point(steps.data[Math.min(steps.length - 1, Math.max(0, i))]);
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const { group } = this;
    const steps = group.steps();
    const range = group.range();
    if (!steps || !range || e.ctrlKey || e.metaKey || e.altKey) return;
    const first = lowerBound(steps.data, steps.length, range[0]);
    const last = Math.max(first, lowerBound(steps.data, steps.length, range[1] + 1e-9) - 1);
    const i = group.cursor === null ? last + 1 : nearest(steps.data, steps.length, group.cursor);
    const one = Math.max(1, Math.round((last - first) / Math.max(1, this.canvas.clientWidth)));
    const page = Math.max(one, Math.round((last - first) / 10));
    /** @type {{ [key: string]: number }} */
    const to = { ArrowLeft: i - one, ArrowDown: i - one, ArrowRight: i + one, ArrowUp: i + one, PageDown: i - page, PageUp: i + page, Home: first, End: last };
    const mid = group.cursor ?? range[1];
    const half = (range[1] - range[0]) / 2;
    if (e.key in to) this.#walk(Math.min(last, Math.max(first, to[e.key])));
    else if (e.key === "+" || e.key === "=") this.#zoom(mid - half / 2, mid + half / 2);
    else if (e.key === "-") this.#zoom(mid - half * 2, mid + half * 2);
    else if (e.key === "0") group.show(null);
    else if (e.key === "Escape" && group.cursor !== null) group.point(null);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }

  /** @param {number} low @param {number} high */
  #zoom(low, high) {
    const { group } = this;
    const was = group.zoom;
    group.zoom = null;
    const all = group.range();
    group.zoom = was;
    if (!all) return;
    const span = Math.min(high - low, all[1] - all[0]);
    const from = Math.min(Math.max(low, all[0]), all[1] - span);
    group.show(span >= all[1] - all[0] ? null : [from, from + span]);
  }

  #toggleTable() {
    const on = this.sheet.hidden;
    this.sheet.hidden = !on;
    this.body.hidden = on;
    this.tableButton.setAttribute("aria-pressed", String(on));
    put(this.sheet);
    this.#table = on ? new DataTable(this.sheet) : null;
    if (!on) return this.group.redraw(true);
    this.#fillTable();
    this.sheet.scrollTop = this.sheet.scrollHeight;
  }

  #fillTable() {
    const { caption, fields, rows } = this.parts.table();
    this.#table?.fill(caption, fields, rows);
  }

  async #csv() {
    save(await this.parts.csv(), `${this.parts.file()}.csv`);
  }

  async #png() {
    const canvas = this.picture();
    const blob = canvas && (await new Promise((done) => canvas.toBlob(done, "image/png")));
    if (blob) save(blob, `${this.parts.file()}.png`);
  }

  /** picture is the chart with title, legend and background at twice its size, null where it is empty. */
  picture() {
    const k = 2;
    const plot = this.plot.picture(k);
    if (!plot) return null;
    const { theme, parts } = this;
    const width = Math.max(plot.width, 280);
    const canvas = h("canvas", { width: (width + 16) * k });
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const entries = this.#entries.filter((e) => e.curves.some((c) => c.shown));
    ctx.font = `11px ${font}`;
    /** @type {{ entry: Entry, text: string, left: number, top: number }[]} */
    const items = [];
    let left = 12;
    let top = 40;
    for (const entry of entries) {
      const { tag } = entry.curves[entry.curves.length - 1].style;
      const label = `${tag && !entry.label.startsWith(tag) ? `${tag}  ` : ""}${entry.label}  ${entry.text(null)}`;
      const w = ctx.measureText(label).width + 44;
      if (left > 12 && left + w > width) {
        left = 12;
        top += 17;
      }
      items.push({ entry, text: label, left, top });
      left += w;
    }
    const plotTop = (items.length > 0 ? top : 23) + 14;
    canvas.height = (plotTop + plot.height + 8) * k;
    ctx.scale(k, k);
    ctx.fillStyle = theme.colour("--panel");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.textBaseline = "middle";
    ctx.fillStyle = theme.colour("--ink");
    ctx.font = `600 13px ${font}`;
    ctx.fillText(parts.title, 12, 18);
    const after = 12 + ctx.measureText(parts.title).width + 8;
    ctx.font = `11px ${font}`;
    ctx.fillStyle = theme.colour("--ink-2");
    ctx.fillText([parts.small ? parts.now?.(null) : "", this.unit.textContent].filter(Boolean).join(" "), after, 18.5);
    ctx.textAlign = "right";
    if (!parts.small) ctx.fillText(parts.of(), width + 4, 18.5);
    ctx.textAlign = "left";
    for (const { entry, text, left, top } of items) {
      const { style } = entry.curves[entry.curves.length - 1];
      ctx.strokeStyle = theme.colour(style.colour);
      ctx.lineWidth = Math.max(1.5, style.width ?? 1);
      ctx.setLineDash(style.dash ?? []);
      ctx.beginPath();
      ctx.moveTo(left, top);
      ctx.lineTo(left + 20, top);
      ctx.stroke();
      ctx.fillStyle = theme.colour(style.colour);
      ctx.beginPath();
      if (style.points) ctx.arc(left + 10, top, 2.5, 0, 2 * Math.PI);
      ctx.fill();
      ctx.fillStyle = theme.colour("--ink");
      ctx.fillText(text, left + 26, top);
    }
    ctx.drawImage(plot.canvas, 8, plotTop, plot.width, plot.height);
    return canvas;
  }
}

/** text sets what node says, where it says something else. @param {Element} node @param {string} s */
export function text(node, s) {
  if (node.textContent !== s) node.textContent = s;
}

/** swatch is a short piece of a curve. @param {import("./curve.js").Style} style */
function swatch(style) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "chart-swatch");
  svg.setAttribute("viewBox", "0 0 20 8");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", "M1 4H19");
  line.setAttribute("stroke-width", String(Math.max(1.5, style.width ?? 1)));
  if (style.dash?.length) line.setAttribute("stroke-dasharray", style.dash.join(" "));
  line.style.stroke = `var(${style.colour})`;
  svg.append(line);
  if (style.points) {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, v] of [["cx", 10], ["cy", 4], ["r", 2.5]]) dot.setAttribute(String(name), String(v));
    dot.style.fill = `var(${style.colour})`;
    svg.append(dot);
  }
  return svg;
}

/** sketch is a faint picture of what will be there. @param {string} d */
function sketch(d) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

/** open makes button show menu, where there is no room for it beside the title. @param {HTMLElement} button @param {HTMLElement} menu @param {HTMLElement} around */
function open(button, menu, around) {
  const set = (/** @type {boolean} */ on) => {
    button.setAttribute("aria-expanded", String(on));
    menu.classList.toggle("chart-open", on);
  };
  button.addEventListener("click", () => set(!menu.classList.contains("chart-open")));
  menu.addEventListener("click", () => set(false));
  around.addEventListener("focusout", (e) => {
    if (!(e.relatedTarget instanceof Node && around.contains(e.relatedTarget))) set(false);
  });
  around.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || !menu.classList.contains("chart-open")) return;
    set(false);
    button.focus();
    e.stopPropagation();
  });
}
