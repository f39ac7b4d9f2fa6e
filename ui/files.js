// @ts-check
// Files that come in: dropped anywhere, or chosen.

import { $, button, input } from "./dom.js";

/** @typedef {import("./app.js").App} App */

/** What other programs call their weights: pickles, which may be any program, and the like. */
const FOREIGN = /\.(pt|pth|bin|ckpt|pkl|gguf|onnx|h5|npz)$/;

/** Sounds that only a WAV file stands for here. */
const PACKED = /\.(mp3|ogg|oga|opus|flac|m4a|aac|aif[fc]?|au|caf|wma|amr|w64)$/;

/**
 * classify says what dropped or chosen files are: one text or sound to train on, a checkpoint, or why they are neither.
 * @param {{ name: string, size: number }[]} files names may have folders before them
 * @returns {{ kind: "text" | "checkpoint" | "neither", name: string, message: string }}
 */
export function classify(files) {
  const base = (/** @type {string} */ n) => n.split("/").at(-1) ?? n;
  const names = files.map((f) => base(f.name).toLowerCase());
  const neither = (/** @type {string} */ message) => ({ kind: /** @type {const} */ ("neither"), name: "", message });
  if (files.length === 0) return neither("There is no file in it.");
  const own = ["config.toml", "metrics.jsonl", "run.json", "checkpoints"];
  const weights = names.some((n) => n.endsWith(".safetensors"));
  const zips = names.filter((n) => n.endsWith(".zip")).length;
  if (zips > 0) return files.length === 1 ? { kind: "checkpoint", name: base(files[0].name).replace(/\.zip$/i, ""), message: "" } : neither("Give one .zip at a time, by itself.");
  if (weights || names.some((n) => own.includes(n))) {
    if (!weights) return neither("There are no weights in it: a checkpoint has a file model.safetensors.");
    if (!names.includes("config.json") && !names.includes("config.toml")) return neither("model.safetensors needs its config.json: give both together.");
    const folder = files[0].name.split("/");
    return { kind: "checkpoint", name: folder.length > 1 ? folder[0] : "upload", message: "" };
  }
  if (names.includes("config.json")) return neither("config.json needs its model.safetensors: give both together.");
  const foreign = names.findIndex((n) => FOREIGN.test(n));
  if (foreign >= 0) return neither(`${base(files[foreign].name)} has the name of another program's weights, which are not read here: want model.safetensors with its config.json.`);
  if (files.length === 1 && PACKED.test(names[0])) return neither(`${base(files[0].name)} is a sound of another kind: convert it to .wav first.`);
  if (files.length > 1) return neither(`Give one text at a time: these are ${files.length} files.`);
  return files[0].size === 0 ? neither(`${base(files[0].name)} is empty.`) : { kind: "text", name: base(files[0].name), message: "" };
}

/**
 * createFiles wires dropping and choosing.
 * @param {App} app
 */
export function createFiles(app) {
  /** @param {File[]} files */
  const take = async (files) => {
    const what = classify(files.map((f) => ({ name: path(f), size: f.size })));
    if (what.kind === "neither") app.notify({ id: "files", tone: "error", title: "This is of no use here.", text: what.message });
    else if (what.kind === "checkpoint") await app.import(files, what.name);
    else if (app.trouble?.failure.code === "needs-text") await app.answerText(files[0], what.name);
    else await app.takeText(files[0], what.name);
  };

  const text = input("text-file");
  const upload = input("upload-files");
  button("upload").addEventListener("click", () => upload.click());
  for (const chooser of [text, upload]) {
    chooser.addEventListener("change", () => {
      const files = [...(chooser.files ?? [])];
      chooser.value = "";
      if (files.length > 0) void take(files);
    });
  }

  const veil = $("drop");
  let depth = 0;
  const over = (/** @type {DragEvent} */ e) => e.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (e) => {
    if (!over(e)) return;
    depth++;
    veil.hidden = false;
  });
  addEventListener("dragleave", (e) => {
    if (!over(e)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) veil.hidden = true;
  });
  addEventListener("dragover", (e) => {
    if (over(e)) e.preventDefault();
  });
  addEventListener("drop", (e) => {
    depth = 0;
    veil.hidden = true;
    if (!e.dataTransfer || !over(e)) return;
    e.preventDefault();
    void dropped(e.dataTransfer).then(take, (err) => app.notify({ id: "files", tone: "error", title: "The files could not be read.", text: String(err?.message ?? err) }));
  });
}

/** @param {File} f with its folder, where the browser tells it */
const path = (f) => f.webkitRelativePath || f.name;

/** Files that a dropped folder may have. */
const MOST = 500;

/**
 * dropped collects files, and those of folders, with their folders in their names.
 * @param {DataTransfer} data
 * @returns {Promise<File[]>}
 */
async function dropped(data) {
  // What is dropped has to be taken at once: it is gone after the first wait.
  const entries = [...data.items].map((i) => i.webkitGetAsEntry?.() ?? null);
  const files = [...data.files];
  if (!entries.some((e) => e?.isDirectory)) return files;
  /** @type {File[]} */
  const all = [];
  /** @param {FileSystemEntry} entry */
  const walk = async (entry) => {
    if (all.length > MOST) throw new Error(`more than ${MOST} files: drop the folder of one run`);
    if (entry.isFile) {
      const file = await new Promise((/** @type {(f: File) => void} */ done, fail) => /** @type {FileSystemFileEntry} */ (entry).file(done, fail));
      // A dropped file does not know its folder, as a chosen one does.
      all.push(Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.replace(/^\//, "") }));
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      const batch = await new Promise((/** @type {(e: FileSystemEntry[]) => void} */ done, fail) => reader.readEntries(done, fail));
      if (batch.length === 0) return;
      for (const e of batch) await walk(e);
    }
  };
  for (const e of entries) if (e) await walk(e);
  return all;
}
