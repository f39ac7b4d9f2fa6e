// @ts-check
// Archives that people drop, which may be anything, and archives that they take with them.

import { Inflate, Zip, ZipPassThrough } from "fflate";

/** The most that an upload may hold. */
export const LIMITS = { bytes: 1 << 30, files: 2000 };

/** Bytes that are read at once. */
const READ = 1 << 20;
/** Bytes that are unpacked at once: they make at most a thousand times as many. */
const CHUNK = 64 << 10;

/** DataError says in a sentence for people what is wrong with a file of theirs, or, with the code usage, with a request. */
export class DataError extends Error {
  /**
   * @param {string} message
   * @param {"data" | "usage"} [code]
   */
  constructor(message, code = "data") {
    super(message);
    this.name = "DataError";
    this.code = code;
  }
}

/**
 * A file of an archive: its path, its size, and where it lies.
 * @typedef {{ path: string, size: number, packed: number, method: number, crc: number, at: number }} Entry
 */

/**
 * isZip says whether a file begins as an archive does.
 * @param {Blob} file
 */
export async function isZip(file) {
  const b = await view(file, 0, 4);
  return b.byteLength === 4 && [0x04034b50, 0x06054b50].includes(b.getUint32(0, true));
}

/**
 * cleanPath checks a path of an upload and resolves it to one below the upload's folder; null: one to leave out, such as
 * a Mac's notes or a hidden file.
 * @param {string} path
 * @returns {string | null}
 */
export function cleanPath(path) {
  const names = path.replaceAll("\\", "/").split("/");
  const drive = /^[A-Za-z]:/.test(path);
  if (names[0] === "" || drive || names.some((n) => n === "" || n === ".." || /[\0-\x1f\x7f]/.test(n) || new TextEncoder().encode(n).length > 255)) {
    throw new DataError(`the path ${JSON.stringify(path.slice(0, 200))} is not one of a file within a folder`);
  }
  const kept = names.filter((n) => n !== ".");
  if (kept.length === 0 || kept.some((n) => n.startsWith(".") || n === "__MACOSX")) return null;
  return kept.join("/");
}

/**
 * checkFiles throws unless the files fit the limits and can lie side by side.
 * @param {{ path: string, size: number }[]} files
 */
export function checkFiles(files) {
  if (files.length > LIMITS.files) throw new DataError(`there are ${files.length} files, and ${LIMITS.files} are the most`);
  const bytes = files.reduce((n, f) => n + f.size, 0);
  if (bytes > LIMITS.bytes) throw new DataError(`the files have ${(bytes / 2 ** 30).toFixed(1)} GiB, and ${LIMITS.bytes / 2 ** 30} GiB is the most`);
  const paths = new Set();
  const folders = new Set();
  for (const { path } of files) {
    if (paths.has(path)) throw new DataError(`there are two files ${path}`);
    paths.add(path);
    for (let i = path.indexOf("/"); i >= 0; i = path.indexOf("/", i + 1)) folders.add(path.slice(0, i));
  }
  for (const path of folders) {
    if (paths.has(path)) throw new DataError(`${path} is both a file and a folder`);
  }
}

/**
 * listZip resolves to the files of an archive, checked, without its folders and what cleanPath leaves out.
 * @param {Blob} zip
 * @returns {Promise<Entry[]>}
 */
export async function listZip(zip) {
  const { at, size, count } = await directory(zip);
  if (count > 10 * LIMITS.files || size > 16 << 20) throw new DataError(`the archive lists ${count} files, and ${LIMITS.files} are the most`);
  const d = await view(zip, at, size);
  const entries = [];
  for (let i = 0, n = 0; n < count; n++) {
    if (i + 46 > d.byteLength || d.getUint32(i, true) !== 0x02014b50) throw damaged("its list of files breaks off");
    const [nameSize, extraSize, commentSize] = [d.getUint16(i + 28, true), d.getUint16(i + 30, true), d.getUint16(i + 32, true)];
    const end = i + 46 + nameSize + extraSize + commentSize;
    if (end > d.byteLength) throw damaged("its list of files breaks off");
    const name = new TextDecoder().decode(new Uint8Array(d.buffer, d.byteOffset + i + 46, nameSize));
    const flags = d.getUint16(i + 8, true);
    const e = { path: "", size: d.getUint32(i + 24, true), packed: d.getUint32(i + 20, true), method: d.getUint16(i + 10, true), crc: d.getUint32(i + 16, true), at: d.getUint32(i + 42, true) };
    wide(e, new DataView(d.buffer, d.byteOffset + i + 46 + nameSize, extraSize));
    i = end;
    const path = cleanPath(name.replace(/\/$/, ""));
    if (path === null || name.endsWith("/")) continue;
    if (flags & 1) throw new DataError(`${path} in the archive is encrypted`);
    if (e.method !== 0 && e.method !== 8) throw new DataError(`${path} is compressed in a way that is not read here (method ${e.method}); deflate and none are`);
    if (e.method === 0 && e.packed !== e.size) throw damaged(`${path} has two sizes`);
    entries.push({ ...e, path });
  }
  checkFiles(entries);
  return entries;
}

/**
 * directory resolves to where the list of an archive's files is.
 * @param {Blob} zip
 */
async function directory(zip) {
  const from = Math.max(0, zip.size - 22 - 0xffff); // at the end, before a comment
  const tail = await view(zip, from, zip.size - from);
  for (let i = tail.byteLength - 22; i >= 0; i--) {
    if (tail.getUint32(i, true) !== 0x06054b50 || i + 22 + tail.getUint16(i + 20, true) !== tail.byteLength) continue;
    const found = { count: tail.getUint16(i + 10, true), size: tail.getUint32(i + 12, true), at: tail.getUint32(i + 16, true) };
    if (i >= 20 && tail.getUint32(i - 20, true) === 0x07064b50) { // the wide form
      const w = await view(zip, big(tail, i - 12), 56);
      if (w.byteLength < 56 || w.getUint32(0, true) !== 0x06064b50) throw damaged("its end is not that of an archive");
      Object.assign(found, { count: big(w, 32), size: big(w, 40), at: big(w, 48) });
    }
    if (found.at + found.size > zip.size) throw damaged("it breaks off");
    return found;
  }
  throw damaged("its end is missing");
}

/**
 * wide takes sizes and place over from the extra field of an entry where they need 64 bits.
 * @param {{ size: number, packed: number, at: number }} e
 * @param {DataView} extra
 */
function wide(e, extra) {
  for (let i = 0; i + 4 <= extra.byteLength;) {
    const end = i + 4 + extra.getUint16(i + 2, true);
    if (extra.getUint16(i, true) === 1) {
      let at = i + 4;
      for (const key of /** @type {const} */ (["size", "packed", "at"])) {
        if (e[key] !== 0xffffffff) continue;
        if (at + 8 > Math.min(end, extra.byteLength)) throw damaged("a size is missing");
        e[key] = big(extra, at);
        at += 8;
      }
    }
    i = end;
  }
}

/**
 * unzip gives the bytes of a file of an archive in parts, and throws in the end if they are not those that were packed.
 * @param {Blob} zip
 * @param {Entry} e
 * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
 */
export async function* unzip(zip, e) {
  const head = await view(zip, e.at, 30);
  if (head.byteLength < 30 || head.getUint32(0, true) !== 0x04034b50) throw damaged(`${e.path} is not where its list says`);
  const at = e.at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  if (at + e.packed > zip.size) throw damaged(`${e.path} breaks off`);
  let size = 0;
  let crc = ~0;
  let ended = e.method === 0;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  let parts = [];
  const inflate = new Inflate((part, final) => {
    parts.push(/** @type {Uint8Array<ArrayBuffer>} */ (part));
    ended ||= final;
  });
  for (let i = 0; i < e.packed; i += READ) {
    const n = Math.min(READ, e.packed - i);
    const packed = new Uint8Array(await zip.slice(at + i, at + i + n).arrayBuffer());
    for (let k = 0; k < n; k += CHUNK) {
      const part = packed.subarray(k, k + CHUNK);
      parts = e.method === 0 ? [part] : [];
      try {
        if (e.method !== 0) inflate.push(part, i + k + part.length === e.packed);
      } catch (err) {
        throw damaged(`${e.path} does not unpack (${err instanceof Error ? err.message : err})`);
      }
      for (const part of parts) {
        size += part.length;
        if (size > e.size) throw damaged(`${e.path} is longer than its list says`);
        crc = crc32(crc, part);
        yield part;
      }
    }
  }
  if (!ended || size !== e.size || (~crc >>> 0) !== e.crc) throw damaged(`${e.path} is not what was packed`);
}

/**
 * zip resolves to an archive of files, which are stored as they are: weights hardly shrink.
 * @param {{ path: string, read: () => AsyncIterable<Uint8Array> }[]} files
 */
export async function zip(files) {
  /** @type {BlobPart[]} */
  let parts = [];
  /** @type {Error | null} */
  let failed = null;
  const archive = new Zip((err, part) => {
    failed ??= err;
    // Go's memory is not shared, so neither is this.
    if (part) parts.push(/** @type {Uint8Array<ArrayBuffer>} */ (part));
  });
  for (const { path, read } of files) {
    const entry = new ZipPassThrough(path);
    archive.add(entry);
    for await (const part of read()) entry.push(part);
    entry.push(new Uint8Array(), true);
    parts = [new Blob(parts)]; // which the browser may put on disk
  }
  archive.end();
  if (failed) throw failed;
  return new Blob(parts, { type: "application/zip" });
}

/** @param {string} why */
const damaged = (why) => new DataError(`the archive is damaged: ${why}`);

/**
 * view resolves to the bytes of a file from at on, as many as there are.
 * @param {Blob} file
 * @param {number} at
 * @param {number} size
 */
const view = async (file, at, size) => new DataView(await file.slice(at, at + size).arrayBuffer());

/**
 * big reads a number of 64 bits. What has no exact value is larger than all limits.
 * @param {DataView} d
 * @param {number} at
 */
const big = (d, at) => Number(d.getBigUint64(at, true));

const table = new Int32Array(256).map((_, i) => {
  for (let k = 0; k < 8; k++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
  return i;
});

/**
 * crc32 goes on with a checksum, which begins with ~0 and ends with its complement.
 * @param {number} crc
 * @param {Uint8Array} bytes
 */
function crc32(crc, bytes) {
  for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return crc;
}
