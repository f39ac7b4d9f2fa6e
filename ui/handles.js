// @ts-check
// What fs.js asks of the browser's private file system (OPFS), which memory.js offers too, and small things around it.

/**
 * What is asked of a FileSystemSyncAccessHandle. Old browsers answer with promises where new ones answer at once.
 * @typedef {object} Access
 * @property {(bytes: Uint8Array, o: { at: number }) => number} read
 * @property {(bytes: Uint8Array, o: { at: number }) => number} write
 * @property {() => number | Promise<number>} getSize
 * @property {(size: number) => void | Promise<void>} truncate
 * @property {() => void | Promise<void>} flush
 * @property {() => void | Promise<void>} close
 */
/**
 * What is asked of a File.
 * @typedef {object} Snapshot
 * @property {number} size
 * @property {number} lastModified
 * @property {(from: number, to: number) => { arrayBuffer: () => Promise<ArrayBuffer> }} slice
 */
/**
 * What is asked of a FileSystemFileHandle. Without move, files are copied instead.
 * @typedef {object} FileHandle
 * @property {"file"} kind
 * @property {() => Promise<Snapshot>} getFile
 * @property {() => Promise<Access>} createSyncAccessHandle
 * @property {(folder: any, name: string) => Promise<void>} [move]
 */
/**
 * What is asked of a FileSystemDirectoryHandle.
 * @typedef {object} FolderHandle
 * @property {"directory"} kind
 * @property {(name: string, o?: { create?: boolean }) => Promise<FolderHandle>} getDirectoryHandle
 * @property {(name: string, o?: { create?: boolean }) => Promise<FileHandle>} getFileHandle
 * @property {(name: string, o?: { recursive?: boolean }) => Promise<void>} removeEntry
 * @property {() => AsyncIterable<string>} keys
 */

/** A worker that just ended, such as that of the page before a refresh, holds its files for a moment longer. */
const LOCKED_TRIES = 6;
const LOCKED_MS = 40;

/** FSError has one of Go's names of errors as its code, such as ENOENT. */
export class FSError extends Error {
  /**
   * @param {string} code
   * @param {string} path
   * @param {unknown} [cause]
   */
  constructor(code, path, cause) {
    super(`${path}: ${code}${cause instanceof Error ? ` (${cause.name}: ${cause.message})` : ""}`, { cause });
    this.code = code;
  }
}

/** @type {{ [name: string]: string }} */
const codes = {
  NotFoundError: "ENOENT", TypeMismatchError: "ENOTDIR", NoModificationAllowedError: "EBUSY", InvalidModificationError: "ENOTEMPTY",
  QuotaExceededError: "ENOSPC", NotAllowedError: "EACCES", SecurityError: "EACCES", InvalidStateError: "EBADF", TypeError: "EINVAL",
};

/**
 * asFSError gives what a browser throws one of Go's codes.
 * @param {unknown} e
 * @param {string} path
 * @returns {FSError}
 */
export function asFSError(e, path) {
  if (e instanceof FSError) return e;
  return new FSError(codes[nameOf(e)] ?? "EIO", path, e);
}

/**
 * nameOf is an error's kind, such as NotFoundError.
 * @param {unknown} e
 */
export const nameOf = (e) => (e instanceof Error || e instanceof DOMException ? e.name : "");

/**
 * normalise makes of a path the absolute one without "." and "..". Relative ones begin at the root.
 * @param {string} path
 */
export function normalise(path) {
  if (typeof path !== "string" || path === "" || path.includes("\0")) throw new FSError("EINVAL", String(path));
  const names = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
    if (new TextEncoder().encode(name).length > 255) throw new FSError("ENAMETOOLONG", path);
  }
  return "/" + names.join("/");
}

/**
 * exclusive opens a file to write, which no other tab may have open.
 * @param {FileHandle} handle
 */
export async function exclusive(handle) {
  for (let tries = 1; ; tries++) {
    try {
      return await handle.createSyncAccessHandle();
    } catch (e) {
      if (nameOf(e) !== "NoModificationAllowedError" || tries === LOCKED_TRIES) throw e;
      await new Promise((f) => setTimeout(f, LOCKED_MS));
    }
  }
}

/**
 * writeAll writes all bytes at at.
 * @param {Access} access
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {string} path
 */
export function writeAll(access, bytes, at, path) {
  for (let n = 0; n < bytes.length;) {
    const more = access.write(bytes.subarray(n), { at: at + n });
    if (!(more > 0)) throw new FSError("ENOSPC", path);
    n += more;
  }
}

/**
 * put copies what source has from at on and returns the number of bytes.
 * @param {Uint8Array} bytes
 * @param {Uint8Array} source
 * @param {number} at
 */
export function put(bytes, source, at) {
  const part = source.subarray(Math.min(at, source.length), at + bytes.length);
  bytes.set(part);
  return part.length;
}

/**
 * unique is a name that no other tab makes. Unlike crypto.randomUUID, what it is made of is there in every page, one that
 * came over plain http too.
 */
export const unique = () => [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
