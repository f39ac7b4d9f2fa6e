// @ts-check
// What Go's syscall package takes for Node's fs, over fs.js.

import { O } from "./fs.js";
import { asFSError, FSError, normalise } from "./handles.js";

/** @typedef {import("./fs.js").FileSystem} FileSystem */
/** @typedef {import("./fs.js").Stat} Stat */

/**
 * nodeFS is what Go takes for Node's fs. print gets whole lines of descriptor 1 or 2.
 * @param {FileSystem} files
 * @param {(fd: number, line: string) => void} print
 */
export function nodeFS(files, print) {
  /** @type {{ [fd: number]: { decoder: TextDecoder, rest: string } }} */
  const streams = { 1: { decoder: new TextDecoder(), rest: "" }, 2: { decoder: new TextDecoder(), rest: "" } };
  const writeSync = (/** @type {number} */ fd, /** @type {Uint8Array} */ bytes) => {
    const s = streams[fd];
    if (!s) throw new FSError("EBADF", `descriptor ${fd}`);
    const lines = (s.rest + s.decoder.decode(bytes, { stream: true })).split("\n");
    s.rest = /** @type {string} */ (lines.pop());
    for (const line of lines) print(fd, line);
    return bytes.length;
  };
  /** call makes of an asynchronous function one whose last argument is a callback. @param {(...args: any[]) => Promise<unknown>} f */
  const call = (f) => (/** @type {any[]} */ ...args) => {
    const callback = args.pop();
    // A callback that throws (a trap in Go) rejects this promise, and whoever watches the worker hears of it.
    f(...args).then((v) => callback(null, v), (e) => callback(asFSError(e, String(args[0]))));
  };
  const stat = async (/** @type {string} */ path) => nodeStat(normalise(path), await files.stat(path));
  const nothing = call(async () => {});
  const refuse = (/** @type {string} */ code) => call(async (path) => { throw new FSError(code, String(path)); });
  return {
    constants: O,
    writeSync,
    open: call((path, flags) => files.open(path, flags)),
    close: call((fd) => files.close(fd)),
    read: call(async (fd, bytes, offset, length, position) => (fd === 0 ? 0 : files.read(fd, bytes.subarray(offset, offset + length), position))),
    write: call(async (fd, bytes, offset, length, position) => {
      const part = bytes.subarray(offset, offset + length);
      return fd === 1 || fd === 2 ? writeSync(fd, part) : files.write(fd, part, position);
    }),
    fstat: call(async (fd) => nodeStat(files.get(fd).path, await files.fstat(fd))),
    stat: call(stat),
    lstat: call(stat),
    readdir: call((path) => files.readdir(path)),
    mkdir: call((path) => files.mkdir(path)),
    unlink: call((path) => files.unlink(path)),
    rmdir: call((path) => files.rmdir(path)),
    rename: call((from, to) => files.rename(from, to)),
    fsync: call((fd) => files.fsync(fd)),
    ftruncate: call((fd, size) => files.ftruncate(fd, size)),
    truncate: call(async (path, size) => {
      const fd = await files.open(path, O.O_WRONLY);
      try {
        await files.ftruncate(fd, size);
      } finally {
        await files.close(fd);
      }
    }),
    // There are no permissions, owners, settable times or links.
    chmod: nothing, fchmod: nothing, chown: nothing, fchown: nothing, lchown: nothing, utimes: nothing,
    readlink: refuse("EINVAL"), link: refuse("ENOSYS"), symlink: refuse("ENOSYS"),
  };
}

/** @param {string} path normalised @param {Stat} s */
function nodeStat(path, { kind, size, modified }) {
  const folder = kind === "directory";
  return {
    dev: 0, ino: inode(path), mode: folder ? 0o040755 : 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, size, blksize: 4096, blocks: Math.ceil(size / 512),
    atimeMs: modified, mtimeMs: modified, ctimeMs: modified, isDirectory: () => folder,
  };
}

/**
 * inode is a number of 52 bits for a path: os.SameFile takes two files for one if theirs agree.
 * @param {string} path
 */
function inode(path) {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < path.length; i++) {
    a = Math.imul(a ^ path.charCodeAt(i), 0x01000193); // FNV-1a
    b = Math.imul(b ^ path.charCodeAt(i), 0x85ebca6b) ^ (b >>> 15);
  }
  return (a >>> 0) * 2 ** 20 + (b >>> 12);
}
