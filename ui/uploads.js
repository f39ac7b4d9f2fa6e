// @ts-check
// Files that people bring, and those that they take with them: a run's or a model's files, and texts.

import { O } from "./fs.js";
import { FSError, unique } from "./handles.js";
import { unfit } from "./kinds.js";
import { checkFiles, cleanPath, DataError, isZip, LIMITS, listZip, unzip, zip } from "./zip.js";

/** @typedef {import("./fs.js").FileSystem} FileSystem */
/** A file of the page with its path: what a worker gets of a File has lost its folder. @typedef {{ file: Blob, path: string }} Upload */

/** Where texts lie; a run's configuration names one by its path. */
const TEXTS = "/texts";
/** Where uploads lie until Go has taken them over. */
const IMPORTS = "/imports";
/** What a text's name begins with until it is whole. */
const DRAFT = ".new-";
/** How a sound's name ends. */
const WAV = /\.wav$/i;
/** Bytes of a sound: the trainer holds each of its samples in a few more at once. */
const LONGEST_SOUND = 256 << 20;
/** Bytes that move at once. */
const CHUNK = 1 << 20;
const WEIGHTS = "model.safetensors";
/** What the command line writes, beside events for TensorBoard. */
const KNOWN = new Set([WEIGHTS, "config.json", "config.toml", "optimizer.safetensors", "state.json", "metrics.jsonl", "run.json"]);

/** stamp is a name that no other tab makes and that tells its time. */
const stamp = () => `${Date.now()}-${unique()}`;

/**
 * sweep removes what a tab that was closed in the middle left behind: what is an hour old.
 * @param {FileSystem} files
 */
export async function sweep(files) {
  for (const [folder, prefix] of [[IMPORTS, ""], [TEXTS, DRAFT]]) {
    for (const name of await files.readdir(folder).catch(() => [])) {
      const made = name.startsWith(prefix) ? parseInt(name.slice(prefix.length), 10) : NaN;
      if (made < Date.now() - 3_600_000) await files.removeAll(`${folder}/${name}`);
    }
  }
}

/**
 * takeFiles writes an upload to a new folder and resolves to that: the files of one archive, or plain files.
 * @param {FileSystem} files
 * @param {Upload[]} uploads
 */
export async function takeFiles(files, uploads) {
  const found = await contents(uploads);
  if (!found.some((f) => base(f.path) === WEIGHTS)) {
    const all = found.length === 1 ? base(found[0].path) : `the ${found.length} files`;
    throw new DataError(`there are no weights in ${all}: want a .zip or the folder of a run, or ${WEIGHTS} with config.json`);
  }
  const dir = `${IMPORTS}/${stamp()}`;
  await files.mkdirAll(dir);
  try {
    for (const { path, read } of found) {
      const at = path.lastIndexOf("/");
      if (at >= 0) await files.mkdirAll(`${dir}/${path.slice(0, at)}`);
      await write(files, `${dir}/${path}`, read());
    }
  } catch (e) {
    await files.removeAll(dir);
    throw e;
  }
  return dir;
}

/**
 * contents resolves to the files of an upload, checked.
 * @param {Upload[]} uploads
 * @returns {Promise<{ path: string, read: () => AsyncIterable<Uint8Array<ArrayBuffer>> }[]>}
 */
async function contents(uploads) {
  if (uploads.length === 0) throw new DataError("there are no files");
  /** @type {{ file: Blob, path: string, size: number }[]} */
  const plain = [];
  for (const { file, path } of uploads) {
    const name = base(path);
    if (/\.zip$/i.test(name) || (!KNOWN.has(name) && (await readable(name, () => isZip(file))))) {
      if (uploads.length > 1) throw new DataError(`${name} is an archive: give it alone`);
      const entries = await readable(name, () => listZip(file));
      return entries.map((e) => ({ path: e.path, read: () => unzip(file, e) }));
    }
    const clean = cleanPath(path);
    if (clean === null) continue;
    // A browser numbers what it downloads twice: "model (1).safetensors".
    const known = clean.includes("/") ? clean : clean.replace(/ ?\(\d+\)(?=\.\w+$)/, "");
    if (!clean.includes("/") && !KNOWN.has(known)) throw new DataError(`${clean} is neither a .zip nor a file of a model: those are ${WEIGHTS} and config.json`);
    plain.push({ file, path: known, size: file.size });
  }
  checkFiles(plain);
  return plain.map(({ file, path }) => ({ path, read: () => chunks(file, path) }));
}

/**
 * keepText writes a text, or a sound, to /texts under its name, or another where that is another text's, and resolves to
 * its path, which ends with .wav if and only if it is a sound.
 * @param {FileSystem} files
 * @param {Blob} file
 * @param {string} name
 * @returns {Promise<{ path: string, bytes: number, kind: "text" | "sound", plain: boolean }>} plain: no byte is zero
 */
export async function keepText(files, file, name) {
  if (file.size === 0) throw new DataError(`${name} is empty`);
  if (file.size > LIMITS.bytes) throw new DataError(`${name} has ${(file.size / 2 ** 30).toFixed(1)} GiB, and ${LIMITS.bytes / 2 ** 30} GiB is the most`);
  const sound = await readable(name, () => isWAV(file));
  if (sound && file.size > LONGEST_SOUND) throw new DataError(`${name} has ${Math.ceil(file.size / 2 ** 20)} MiB, and ${LONGEST_SOUND / 2 ** 20} MiB of sound is the most`);
  const given = cleanName(name, sound ? "sound.wav" : "text.txt");
  const why = sound ? "" : unfit(name, new Uint8Array(await readable(name, () => file.slice(0, 16).arrayBuffer())));
  if (why) throw new DataError(why);
  await files.mkdirAll(TEXTS);
  const draft = `${TEXTS}/${DRAFT}${stamp()}`;
  let plain = true;
  await write(files, draft, sound ? chunks(file, name) : noting(chunks(file, name), () => (plain = false)));
  const kind = sound ? "sound" : "text";
  const clean = sound && !WAV.test(given) ? `${given}.wav` : given;
  const dot = clean.lastIndexOf(".");
  const [stem, end] = dot > 0 ? [clean.slice(0, dot), clean.slice(dot)] : [clean, ""];
  for (let n = 1; ; n++) {
    const path = `${TEXTS}/${n === 1 ? clean : `${stem}-${n}${end}`}`;
    const there = await files.stat(path).catch((e) => {
      if (e.code === "ENOENT") return null;
      throw e;
    });
    if (!there) {
      await files.rename(draft, path);
      return { path, bytes: file.size, kind, plain };
    }
    if (there.kind === "file" && there.size === file.size && (await same(files, path, draft))) {
      await files.unlink(draft);
      return { path, bytes: file.size, kind, plain };
    }
  }
}

/**
 * isWAV says whether a file begins as a WAV file does, an ID3 tag before it left aside: as IsWAV of package data.
 * @param {Blob} file
 */
async function isWAV(file) {
  const head = async (/** @type {number} */ at) => new Uint8Array(await file.slice(at, at + 12).arrayBuffer());
  let b = await head(0);
  if (b.length >= 10 && /^ID3[\0-\x09]{2}/.test(String.fromCharCode(...b)) && b.subarray(6, 10).every((v) => v < 0x80)) {
    const size = b.subarray(6, 10).reduce((n, v) => n * 128 + v, 0);
    b = await head(10 + size + (b[5] & 0x10 ? 10 : 0));
  }
  return /^(RIFF|RIFX|RF64|BW64)[^]{4}WAVE/.test(String.fromCharCode(...b));
}

/**
 * listTexts resolves to the texts and sounds that are kept, by name.
 * @param {FileSystem} files
 * @returns {Promise<{ path: string, bytes: number }[]>}
 */
export async function listTexts(files) {
  const found = [];
  const names = await files.readdir(TEXTS).catch((e) => {
    if (e.code === "ENOENT") return [];
    throw e;
  });
  for (const name of names) {
    const path = `${TEXTS}/${name}`;
    const there = name.startsWith(DRAFT) ? null : await files.stat(path);
    if (there?.kind === "file") found.push({ path, bytes: there.size });
  }
  return found;
}

/**
 * deleteText removes a text or a sound that is kept.
 * @param {FileSystem} files
 * @param {string} path
 */
export async function deleteText(files, path) {
  const name = path.slice(TEXTS.length + 1);
  if (!path.startsWith(`${TEXTS}/`) || name === "" || name === "." || name === ".." || name.includes("/")) throw new DataError(`${path} is no text that is kept`, "usage");
  await files.unlink(path).catch((e) => {
    if (e.code === "EBUSY") throw new DataError(`${name} is being read, perhaps in another tab: try again in a moment`);
    if (e.code !== "ENOENT") throw e; // it is gone, as it was to be
  });
}

/**
 * pack resolves to an archive of files below dir, in a folder that has the name.
 * @param {FileSystem} files
 * @param {string} dir
 * @param {string} name
 * @param {string[]} paths
 */
export function pack(files, dir, name, paths) {
  const folder = cleanName(name, "run");
  return zip(paths.map((p) => ({ path: `${folder}/${p}`, read: () => contentOf(files, `${dir}/${p}`) })));
}

/**
 * cleanName makes a file's name of what may be anything; other where nothing is left.
 * @param {string} name
 * @param {string} other
 */
export function cleanName(name, other) {
  let clean = base(name).replace(/[\0-\x1f\x7f:*?"<>|]/g, "-").replace(/^[. ]+|[. ]+$/g, "");
  while (new TextEncoder().encode(clean).length > 120) clean = [...clean].slice(0, -1).join("");
  return clean || other;
}

/** base is a path's last name. @param {string} path */
const base = (path) => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);

/**
 * write makes a file of parts, whole or not at all.
 * @param {FileSystem} files
 * @param {string} path
 * @param {AsyncIterable<Uint8Array>} parts
 */
async function write(files, path, parts) {
  const fd = await files.open(path, O.O_WRONLY | O.O_CREAT | O.O_EXCL);
  try {
    for await (const part of parts) await files.write(fd, part, null);
  } catch (e) {
    await files.close(fd);
    await files.unlink(path);
    throw e;
  }
  await files.close(fd);
}

/**
 * contentOf gives the bytes of a file in parts.
 * @param {FileSystem} files
 * @param {string} path
 * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
 */
async function* contentOf(files, path) {
  const fd = await files.open(path, O.O_RDONLY);
  try {
    for (;;) {
      const part = new Uint8Array(CHUNK);
      const n = await files.read(fd, part, null);
      if (n === 0) return;
      yield part.subarray(0, n);
    }
  } finally {
    await files.close(fd);
  }
}

/**
 * chunks gives the bytes of a file of the page in parts.
 * @param {Blob} file
 * @param {string} name
 * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
 */
async function* chunks(file, name) {
  for (let i = 0; i < file.size; i += CHUNK) yield new Uint8Array(await readable(name, () => file.slice(i, i + CHUNK).arrayBuffer()));
}

/**
 * readable names the file where the browser cannot read it: it is gone, or a folder.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} read
 */
async function readable(name, read) {
  try {
    return await read();
  } catch (e) {
    if (e instanceof DataError) throw e;
    throw new DataError(`${name} cannot be read (${e instanceof Error || e instanceof DOMException ? e.message : e})`);
  }
}

/**
 * noting passes parts on and tells of those that hold a zero, which no text does.
 * @param {AsyncIterable<Uint8Array<ArrayBuffer>>} parts
 * @param {() => void} zero
 */
async function* noting(parts, zero) {
  for await (const part of parts) {
    if (part.includes(0)) zero();
    yield part;
  }
}

/**
 * same says whether two files of one length hold the same.
 * @param {FileSystem} files
 * @param {string} a
 * @param {string} b
 */
async function same(files, a, b) {
  const others = contentOf(files, b);
  try {
    for await (const part of contentOf(files, a)) {
      const other = (await others.next()).value;
      if (!other || other.length !== part.length || part.some((v, i) => v !== other[i])) return false;
    }
    return true;
  } finally {
    await others.return(undefined);
  }
}

/**
 * failure is what the page is told of an error.
 * @param {unknown} e
 */
export function failure(e) {
  const text = e instanceof Error ? e.message : String(e);
  /** @type {["data" | "usage" | "storage" | "internal", string]} */
  let [code, message] = ["internal", text];
  if (e instanceof DataError) code = e.code;
  if (e instanceof FSError) [code, message] = ["storage", e.code === "ENOSPC" ? "the browser's storage is full: delete runs, or make room on this device" : text];
  return { code, message, key: "", step: 0, checkpoint: -1 };
}
