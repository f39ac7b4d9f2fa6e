// @ts-check
// The settings as a form: presets, groups, the size of what they make, and a number's keys.

import { BY_KEY, GROUPS, NUMERICS, PRESETS, TASKS, WRITING, isSound, mend, nudge, parse, place, print, slid, slide } from "./fields.js";
import { summary, waits } from "./changes.js";
import { same } from "./settings.js";
import { $, button, help, h, icon, input, prefs, put } from "./dom.js";
import { about, bytes, count, parameters, value as show } from "./format.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./fields.js").Field} Field
 * @typedef {import("./fields.js").Value} Value
 * @typedef {{ field: Field, row: HTMLElement, refresh(): void, invalid(): string, value(): Value | undefined }} Row
 */

/** Groups that are open until the person closes them. */
const OPEN_FIRST = new Set(["data", "inner-loop"]);

/** The fields that act on the open run as soon as they are changed: they stand beside what they act on. */
const AT_ONCE = new Set([...WRITING, ...NUMERICS]);

/** Expected seconds from which a step is called slow. */
const SLOW = 2;

/**
 * createRail fills the rail, and the fields beside the samples.
 * @param {App} app
 */
export function createRail(app) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @type {Map<string, HTMLElement>} */
  const summaries = new Map();

  const build = () => {
    put($("presets"), ...PRESETS.map((p) => h("button", { type: "button", class: "preset", "data-preset": p.id, "aria-pressed": "false", title: p.help, disabled: !app.hello, onclick: () => {
      app.settings.preset(p.id, app.hello?.device.software);
      refresh();
    } }, h("b", {}, p.title), h("span", {}, p.note))));
    const row = (/** @type {string} */ key, atOnce = false) => {
      const field = BY_KEY.get(key);
      if (!field || !app.settings.has(key)) return null;
      const r = createRow(app, field, atOnce);
      rows.set(key, r);
      return r.row;
    };
    put(
      $("fields"),
      ...GROUPS.map((g) => {
        const summary = h("span", { class: "in-short" });
        summaries.set(g.id, summary);
        const open = prefs.get(`group.${g.id}`);
        const details = h("details", { class: "group", id: `group-${g.id}`, open: open === null ? OPEN_FIRST.has(g.id) : open === "open" }, h("summary", {}, h("span", {}, g.title), summary), g.id === "data" && app.hello ? createSource(app) : null, ...g.keys.map((key) => row(key)));
        details.addEventListener("toggle", () => {
          prefs.set(`group.${g.id}`, details.open ? "open" : "closed");
          described();
        });
        return details;
      }),
    );
    put($("writing"), ...WRITING.map((key) => row(key, true)));
    put($("numerics-eps"), ...NUMERICS.map((key) => row(key, true)));
  };

  const refresh = () => {
    const get = (/** @type {string} */ k) => app.settings.get(k);
    for (const r of rows.values()) r.refresh();
    const preset = app.settings.current();
    for (const b of document.querySelectorAll("[data-preset]")) b.setAttribute("aria-pressed", String(b.getAttribute("data-preset") === preset));
    const short = (/** @type {string} */ id, /** @type {string} */ text) => put(summaries.get(id) ?? h("span"), text);
    short("data", sourceName(app));
    short("model", `${show(get("model.hidden_size"))} wide · ${show(get("model.num_hidden_layers"))} deep`);
    short("inner-loop", `${get("model.ttt_layer_type") === "mlp" ? "MLP" : "linear"} · K ${show(get("model.mini_batch_size"))}`);
    short("optimiser", `lr ${show(get("train.lr"))}`);
    short("run", `${count(Number(get("train.steps")))} × ${show(get("train.batch_size"))} × ${show(get("train.seq_len"))}`);
    button("reset-all").disabled = Object.keys(app.settings.overrides()).length === 0 && !firstInvalid();
    pending();
  };

  // What waits for the next start.
  const pending = () => {
    const run = app.isOpen ? app.run : null;
    let waiting = 0;
    for (const [key, r] of rows) {
      const next = run !== null && !AT_ONCE.has(key) && !app.sending.has(key) && waits(run, key, app.settings.get(key));
      r.row.classList.toggle("waits", next);
      if (next) waiting++;
    }
    document.body.toggleAttribute("data-open", run !== null);
    $("pending").hidden = waiting === 0;
    if (waiting > 0) put($("pending"), `${waiting === 1 ? "A change acts" : `${waiting} changes act`} on the next Start. `, h("button", { type: "button", class: "link", onclick: () => void app.start() }, waiting === 1 ? "Restart with it" : "Restart with them"));
  };

  const described = () => {
    const d = app.description;
    const p = app.problem ?? d?.problem ?? null;
    const at = p ? app.fieldOf(p) : "";
    for (const [key, r] of rows) problem(r, at === key ? (p?.message ?? "") : "");
    const atField = p !== null && (rows.get(at)?.row.checkVisibility() ?? false); // not in a closed group
    $("size-problem").hidden = p === null || atField;
    put($("size-problem"), p === null || atField ? "" : p.message);
    if (atField) $("size-problem").hidden = true;
    $("size").classList.toggle("void", d === null || d.problem !== null);
    if (!d || d.problem) {
      for (const id of ["size-parameters", "size-memory", "size-step", "size-run"]) put($(id), "–");
      $("size-step").title = $("size-run").title = "";
      put($("settings-short"), d ? "A setting does not fit" : "");
      return;
    }
    put($("size-parameters"), ...parameters(d.parameters).split(" ").map(unit));
    put($("size-memory"), ...bytes(d.bytes).split(" ").map(unit));
    for (const [id, span] of /** @type {const} */ ([["size-step", d.step], ["size-run", d.run]])) {
      put($(id), about(span, true) || "not known");
      $(id).title = about(span) || "Not known before the first steps";
    }
    $("size").classList.toggle("slow", d.step.low > SLOW);
    put($("settings-short"), `${parameters(d.parameters)} parameters, ${sourceName(app)}`);
  };

  // A form has to be valid before it starts something.
  const firstInvalid = () => [...rows.values()].find((r) => !r.row.hidden && r.invalid() !== "");

  build(); // the headings; what is below them comes with the trainer
  app.on("ready", () => {
    if (rows.size === 0) build();
    refresh();
  });
  app.on("settings", () => {
    refresh();
    described();
  });
  app.on("described", described);
  app.on("change", () => {
    if (rows.size === 0) return;
    refresh();
    described();
  });
  $("fields").addEventListener("submit", (e) => e.preventDefault());
  $("reset-all").addEventListener("click", () => {
    app.settings.replace([]);
    refresh();
  });
  $("copy-link").addEventListener("click", () => void copyLink(app));

  // On a phone the settings are one line until they are wanted.
  const narrow = matchMedia("(max-width: 760px)");
  const details = /** @type {HTMLDetailsElement} */ ($("settings"));
  const fit = () => (details.open = !narrow.matches);
  narrow.addEventListener("change", fit);
  fit();

  return {
    /** ready says whether the settings can be used; if not, it leads to what is wrong. */
    ready() {
      const bad = firstInvalid();
      if (bad) lead(bad.row);
      return !bad;
    },
    /** @param {string} key */
    lead(key) {
      const r = rows.get(key);
      if (r) lead(r.row);
    },
  };
}

/** @param {string} part @param {number} i */
const unit = (part, i) => (i === 0 ? part : h("small", {}, ` ${part}`));

/** @param {HTMLElement} row */
function lead(row) {
  for (let p = row.parentElement; p; p = p.parentElement) if (p instanceof HTMLDetailsElement) p.open = true;
  /** @type {HTMLElement | null} */ (row.querySelector("input, select, textarea"))?.focus();
}

/** @param {Row} r @param {string} message the trainer's, or "" */
function problem(r, message) {
  const mine = r.invalid() && mend(r.invalid(), r.value());
  const p = /** @type {HTMLElement} */ (r.row.querySelector(".problem"));
  const control = /** @type {HTMLElement} */ (r.row.querySelector("[data-value]"));
  const text = mine || message.replace(/^(model|train|data|sample): /, "");
  p.hidden = text === "";
  if (p.textContent !== text) p.textContent = text;
  control.toggleAttribute("aria-invalid", false);
  if (text) control.setAttribute("aria-invalid", "true");
}

/**
 * createRow is one setting: label, explanation, reset, control and what is wrong with it.
 * @param {App} app
 * @param {Field} field
 * @param {boolean} atOnce it acts on the open run too, and shows the value that it has there
 * @returns {Row}
 */
function createRow(app, field, atOnce) {
  const { key, kind } = field;
  const get = () => (atOnce ? app.now(key) : app.settings.get(key));
  const id = `f-${key.replaceAll(".", "-")}`;
  const problemId = `${id}-problem`;
  const initial = app.settings.initial(key);
  let invalid = ""; // what is wrong with what stands in the control; the setting is then as it was
  /** The setting while something invalid stands in the control. @type {Value | undefined} */
  let still;
  let typed = 0; // as many replacements of all settings there had been then

  const set = (/** @type {unknown} */ v) => (atOnce ? app.change(key, v) : app.settings.set(key, v));
  /** The setting when the person came to the control: on the way to 99 there is a 9. @type {Value | undefined} */
  let before;

  const refuse = (/** @type {string} */ why) => {
    invalid = why;
    still = before ?? get();
    typed = app.settings.replaced;
    set(still);
    told();
    row.refresh();
    button("reset-all").disabled = false;
  };
  const settle = (/** @type {unknown} */ v) => {
    const why = set(v);
    if (why) return refuse(why);
    invalid = "";
    told();
    row.refresh();
  };
  const told = () => {
    const p = app.problem ?? app.description?.problem ?? null;
    problem(row, p && app.fieldOf(p) === key ? p.message : "");
  };

  const common = { id, "data-value": key, "aria-describedby": problemId, onfocus: () => (before = get()) };
  /** @type {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */
  let control;
  /** @type {HTMLInputElement | null} */
  let slider = null;
  const numeric = kind === "int" || kind === "number";
  if (kind === "switch") {
    control = h("input", { ...common, type: "checkbox", class: "switch", role: "switch", onchange: () => settle(/** @type {HTMLInputElement} */ (control).checked) });
  } else if (kind === "choice") {
    control = h("select", { ...common, onchange: () => settle(control.value) }, ...(field.choices ?? []).map(([v, label]) => h("option", { value: v }, label)));
  } else if (kind === "lines") {
    control = h("textarea", { ...common, rows: 2, spellcheck: false, oninput: () => settle(control.value.split("\n").filter((s) => s !== "")) });
  } else if (kind === "text") {
    control = h("input", { ...common, type: "text", spellcheck: false, oninput: () => settle(unescape(control.value)) });
  } else {
    control = h("input", {
      ...common, type: "text", class: "number", inputMode: kind === "int" ? "numeric" : "decimal", spellcheck: false,
      oninput: () => {
        const got = parse(field, control.value);
        if (got.value === undefined) refuse(got.error);
        else settle(got.value);
      },
      // Later: what goes away here moves what a click below was meant for.
      onblur: () => setTimeout(() => document.activeElement === control || refresh(true), 200),
      onkeydown: (/** @type {KeyboardEvent} */ e) => {
        if (e.key !== "ArrowUp" && e.key !== "ArrowDown") return;
        e.preventDefault();
        let v = Number(get());
        for (let i = 0; i < (e.shiftKey && field.scale === "add" ? 10 : 1); i++) v = nudge(field, v, e.key === "ArrowUp" ? 1 : -1);
        settle(v);
        refresh(true);
      },
    });
    if (field.slider) {
      const [from, to] = field.slider.map(Math.log10);
      const now = () => Number(get());
      const move = (/** @type {number} */ v) => {
        before = undefined;
        settle(v);
        refresh(true);
      };
      slider = h("input", {
        type: "range", class: "slider", min: String(from), max: String(to), step: "0.02", "aria-label": `${field.label}, slider`,
        oninput: () => move(slid(field, Number(/** @type {HTMLInputElement} */ (slider).value), now())),
        // Of the browser's own steps many fall on the value that there is.
        onkeydown: (/** @type {KeyboardEvent} */ e) => {
          const to = e.ctrlKey || e.metaKey || e.altKey ? undefined : slide(field, now(), e.key);
          if (to === undefined) return;
          e.preventDefault();
          move(to);
        },
      });
    }
  }

  const reset = h("button", { type: "button", class: "reset", "aria-label": `Reset ${field.label} to ${show(initial)}`, title: `Back to ${show(initial)}`, onclick: () => {
    invalid = "";
    if (atOnce && initial !== undefined) app.change(key, initial);
    else app.settings.reset(key);
    told();
    refresh(true);
    control.focus();
  } }, icon("undo"));
  const node = h(
    "div",
    { class: `field is-${kind}`, "data-key": key },
    h("span", { class: "name" }, h("label", { for: id }, field.label, field.unit ? h("small", {}, ` ${field.unit}`) : null), help(key, field.label)),
    reset,
    control,
    slider,
    h("p", { class: "tag" }, "acts on the next Start ", field.live && !atOnce ? h("button", { type: "button", class: "link apply", "aria-label": `change this run: ${field.label}, from its next step on`, title: "From its next step on, with a mark in the curves", onclick: () => {
      app.apply([key]);
      control.focus();
    } }, "change this run") : null),
    h("p", { class: "problem", id: problemId, hidden: true }),
  );

  const refresh = (force = false) => {
    const v = get();
    node.hidden = field.when ? !field.when(app.settings) : false;
    const differs = atOnce ? !same(v, initial) : app.settings.differs(key);
    node.classList.toggle("differs", differs);
    reset.hidden = !differs && invalid === "";
    if (slider && typeof v === "number") {
      slider.value = String(place(field, v));
      slider.setAttribute("aria-valuetext", String(v));
    }
    // What does not fit stays to be seen, and mended, unless the setting has since come from elsewhere.
    if (invalid !== "") {
      if (same(still, v) && typed === app.settings.replaced) return;
      invalid = "";
      told();
    }
    // What the person types stays as it is.
    if (document.activeElement === control && !force && kind !== "switch" && kind !== "choice") {
      if (numeric && parse(field, control.value).value !== v) control.value = print(/** @type {Value} */ (v));
      return;
    }
    if (control instanceof HTMLInputElement && kind === "switch") control.checked = v === true;
    else if (kind === "lines" && Array.isArray(v)) control.value = v.join("\n");
    else if (kind === "text") control.value = escape(String(v ?? ""));
    else if (v !== undefined) control.value = print(v);
  };
  /** @type {Row} */
  const row = { field, row: node, refresh: () => refresh(), invalid: () => invalid, value: () => get() };
  return row;
}

/** @param {string} s a line break as \n */
const escape = (s) => s.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
/** @param {string} s */
const unescape = (s) => s.replace(/\\([nt\\])/g, (_, c) => (c === "n" ? "\n" : c === "t" ? "\t" : "\\"));

/**
 * sourceName is what the model reads, in a word or two.
 * @param {App} app
 */
export function sourceName(app, get = (/** @type {string} */ k) => app.settings.get(k)) {
  const file = String(get("data.file") ?? "");
  if (file) return fileTitle(file);
  const task = String(get("data.task") ?? "stories");
  return TASKS.find(([v]) => v === task)?.[2] ?? task;
}

/** @param {string} path */
const fileTitle = (path) => (path.endsWith("/opticks.txt") ? "Newton's Opticks" : (path.split("/").at(-1) ?? path));

/**
 * createSource is the list of what can be read: generated text, the book, files.
 * @param {App} app
 */
function createSource(app) {
  const list = h("select", {
    id: "data-source", "data-value": "data.file", "aria-describedby": "data-source-note",
    onchange: () => {
      const [kind, ...rest] = list.value.split(":");
      const name = rest.join(":");
      if (kind === "task") {
        app.settings.reset("data.file");
        if (app.settings.has("data.task")) app.settings.set("data.task", name);
      } else if (kind === "file") app.settings.set("data.file", name);
      else if (kind === "opticks") void app.takeOpticks().then((ok) => ok || refresh());
    },
  });
  const note = h("p", { class: "note", id: "data-source-note" });
  const bin = h("button", { id: "delete-text", type: "button", class: "quiet small", hidden: true, onclick: () => {
    const path = String(app.settings.get("data.file") ?? "");
    askText(app, path, () => {
      list.focus(); // what had the focus is gone
      put($("live"), `${fileTitle(path)} is deleted.`);
    });
  } }, icon("bin"));
  const node = h(
    "div",
    { class: "field source", "data-key": "data.file" },
    h("span", { class: "name" }, h("label", { for: "data-source" }, "Text"), help("data.task", "the text")),
    h("p", { class: "tag" }, "acts on the next Start"),
    list,
    h("div", { class: "row" }, h("button", { id: "open-text", type: "button", class: "small", onclick: () => input("text-file").click() }, icon("up"), "Open a file…"), note, bin),
  );
  const refresh = () => {
    const file = String(app.settings.get("data.file") ?? "");
    const tasks = app.settings.has("data.task") ? TASKS : TASKS.slice(0, 1);
    const opticks = [...app.texts.keys(), file].find((p) => p.endsWith("/opticks.txt"));
    const files = new Set([...app.texts.keys(), ...(file ? [file] : [])].filter((p) => p !== opticks));
    put(
      list,
      ...tasks.map(([v, label]) => h("option", { value: `task:${v}` }, label)),
      ...(app.assets.texts.opticks ? [h("option", { value: opticks ? `file:${opticks}` : "opticks:" }, "Newton's Opticks (1704)")] : []),
      ...[...files].map((p) => h("option", { value: `file:${p}` }, fileTitle(p))),
    );
    list.value = file ? `file:${file}` : `task:${app.settings.get("data.task") ?? "stories"}`;
    const size = app.texts.get(file);
    const sound = isSound((k) => app.settings.get(k)) ? "sound, " : "";
    put(note, file ? (size === undefined ? "not in this browser" : sound + bytes(size)) : "or drop any file");
    bin.hidden = size === undefined;
    bin.title = `Delete ${fileTitle(file)} from this browser`;
    bin.setAttribute("aria-label", bin.title);
    const run = app.isOpen ? app.run : null;
    const waits = run !== null && ["data.file", "data.task"].some((k) => run.config[k] !== undefined && !same(run.config[k], app.settings.get(k)));
    node.classList.toggle("waits", waits);
  };
  for (const topic of /** @type {const} */ (["settings", "change", "texts"])) app.on(topic, refresh);
  queueMicrotask(refresh);
  return node;
}

/**
 * askText deletes a text if the person means it: what reads it is told, and the open run's stays.
 * @param {App} app
 * @param {string} path
 * @param {() => void} done
 */
function askText(app, path, done) {
  const dialog = /** @type {HTMLDialogElement} */ ($("text-dialog"));
  const readers = app.readers(path);
  const open = app.isOpen && app.run?.config["data.file"] === path;
  const names = readers.slice(0, 3).map((r) => r.name).join("; ") + (readers.length > 3 ? `; and ${readers.length - 3} more` : "");
  const used = open ? " The open run reads it: stop that run first."
    : readers.length > 0 ? ` ${readers.length === 1 ? "A kept run reads it" : `${count(readers.length)} kept runs read it`} (${names}) and cannot go on until you add it again.` : " No kept run reads it.";
  put($("text-dialog-text"), h("b", {}, fileTitle(path)), `, ${bytes(app.texts.get(path) ?? 0)}: it goes from this browser for ever; your own file stays.${used}`);
  button("text-yes").disabled = open;
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes" && !open) void app.deleteText(path).then((ok) => ok && done());
  }, { once: true });
  dialog.showModal();
}

/** @param {App} app */
async function copyLink(app) {
  const changes = app.isOpen ? (app.run?.changes ?? []) : [];
  if (changes.length > 0) app.notify({ id: "link-changed", tone: "info", title: "The link has the settings on the left.", text: `What was changed in the course of the open run is in no link: ${summary(changes)}.` });
  const link = location.origin + location.pathname + app.fragment();
  const label = /** @type {HTMLElement} */ ($("copy-link").lastElementChild);
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    // Without a clipboard the person copies it.
    input("link-text").value = link;
    /** @type {HTMLDialogElement} */ ($("link-dialog")).showModal();
    input("link-text").select();
    return;
  }
  label.textContent = "Copied";
  put($("live"), "The link is copied.");
  setTimeout(() => (label.textContent = "Copy link"), 2000);
}

