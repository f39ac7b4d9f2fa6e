// @ts-check
// Files over the browser's private file system (OPFS), or over memory.js, which looks the same.

import { asFSError, exclusive, FSError, nameOf, normalise, put, writeAll } from "./handles.js";

/** @typedef {import("./handles.js").Access} Access */
/** @typedef {import("./handles.js").Snapshot} Snapshot */
/** @typedef {import("./handles.js").FileHandle} FileHandle */
/** @typedef {import("./handles.js").FolderHandle} FolderHandle */

/**
 * A file that is open, once for all that have it open. While anyone writes, all read through access, which nothing else
 * may hold; else through a snapshot, which does not lock. kept is what is left of one that was removed or replaced.
 * @typedef {{ path: string, handle: FileHandle, opens: number, writers: number, access: Access | null, snapshot: Snapshot | null, kept: Uint8Array | null }} Shared
 */
/**
 * @typedef {{ path: string, flags: number, at: number, shared: Shared | null, ahead: Uint8Array, aheadAt: number, aheadOf: Snapshot | null }} Open
 */
/** @typedef {{ kind: "file" | "directory", size: number, modified: number }} Stat */

/** The flags of open, by Node's names. */
export const O = { O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 0o100, O_EXCL: 0o200, O_TRUNC: 0o1000, O_APPEND: 0o2000, O_DIRECTORY: 0o200000 };

/** The file of a checkpoint that vouches for the others: moved last, so that half a folder is none. */
const VOUCHER = "state.json";
/** Bytes that a read of a snapshot fetches at least: each costs a trip to the browser's process. */
const AHEAD = 1 << 20;
/** Bytes that a copy moves at once. */
const CHUNK = 4 << 20;
/** The largest file that stays readable for those who have it open when it is removed. */
const KEEP = 64 << 20;
/** How long handles of folders are kept: for the calls of one checkpoint. */
const FOLDERS_MS = 200;

/** @param {string} path normalised */
const split = (path) => ({ folder: path.slice(0, Math.max(1, path.lastIndexOf("/"))), name: path.slice(path.lastIndexOf("/") + 1) });
/** @param {string} path @param {string} folder */
const within = (path, folder) => path === folder || path.startsWith(folder === "/" ? "/" : folder + "/");

/** FileSystem has the files below a folder handle. All methods reject with FSErrors. */
export class FileSystem {
  /** @param {any} root a FileSystemDirectoryHandle or memory.js's folder */
  constructor(root) {
    /** @type {FolderHandle} */
    this.root = root;
    /** @type {Map<string, Shared>} */
    this.shared = new Map();
    /** @type {Map<string, FolderHandle>} */
    this.folders = new Map();
    this.foldersEnd = 0;
    /** @type {Map<number, Open>} */
    this.opened = new Map();
    this.nextFD = 3;
    /** @type {Promise<unknown>} */
    this.last = Promise.resolve();
  }

  /**
   * alone runs f when all that change names or open files before it have ended.
   * @template T
   * @param {string} path
   * @param {() => Promise<T>} f
   * @returns {Promise<T>}
   */
  alone(path, f) {
    const done = this.last.then(f).catch((e) => { throw asFSError(e, path); });
    this.last = done.catch(() => {});
    return done;
  }

  /**
   * folder resolves to a folder's handle, which is kept for a moment: each step down is a trip to the browser's process.
   * @param {string} path normalised
   * @returns {Promise<FolderHandle>}
   */
  async folder(path) {
    if (path === "/") return this.root;
    if (performance.now() > this.foldersEnd) {
      this.folders.clear(); // another tab may have put others in their place
      this.foldersEnd = performance.now() + FOLDERS_MS;
    }
    const kept = this.folders.get(path);
    if (kept) return kept;
    const { folder, name } = split(path);
    const at = await (await this.folder(folder)).getDirectoryHandle(name);
    this.folders.set(path, at);
    return at;
  }

  /** makeFolder makes a folder, if there is none. @param {string} path normalised */
  async makeFolder(path) {
    const { folder, name } = split(path);
    this.folders.set(path, await (await this.folder(folder)).getDirectoryHandle(name, { create: true }));
  }

  /** forget lets go of the handles of folders within path, which is no more. @param {string} path normalised */
  forget(path) {
    for (const p of this.folders.keys()) {
      if (within(p, path)) this.folders.delete(p);
    }
  }

  /**
   * find resolves to what has the name, or null. Where the folder is missing it rejects.
   * @param {string} path normalised
   * @returns {Promise<FileHandle | FolderHandle | null>}
   */
  async find(path) {
    if (path === "/") return this.root;
    const { folder, name } = split(path);
    const at = await this.folder(folder);
    try {
      return await at.getFileHandle(name);
    } catch (e) {
      if (nameOf(e) === "NotFoundError") return null;
      if (nameOf(e) !== "TypeMismatchError") throw e;
      return at.getDirectoryHandle(name);
    }
  }

  /**
   * open resolves to a descriptor of a file, or of a folder that is only read.
   * @param {string} path
   * @param {number} flags
   */
  open(path, flags) {
    return this.alone(path, async () => {
      path = normalise(path);
      let found = await this.find(path);
      if (found && flags & O.O_CREAT && flags & O.O_EXCL) throw new FSError("EEXIST", path);
      const write = Boolean(flags & (O.O_WRONLY | O.O_RDWR));
      if (found?.kind === "directory") {
        if (write || flags & O.O_CREAT) throw new FSError("EISDIR", path);
        return this.describe(path, flags, null);
      }
      if (flags & O.O_DIRECTORY) throw new FSError(found ? "ENOTDIR" : "ENOENT", path);
      const created = !found;
      if (!found) {
        if (!(flags & O.O_CREAT)) throw new FSError("ENOENT", path);
        const { folder, name } = split(path);
        found = await (await this.folder(folder)).getFileHandle(name, { create: true });
      }
      try {
        return this.describe(path, flags, await this.share(path, found, write, Boolean(flags & O.O_TRUNC)));
      } catch (e) {
        if (created) await this.removeName(path).catch(() => {});
        throw e;
      }
    });
  }

  /**
   * share has a file open once more.
   * @param {string} path
   * @param {FileHandle} handle
   * @param {boolean} write
   * @param {boolean} truncate
   */
  async share(path, handle, write, truncate) {
    const s = this.shared.get(path) ?? { path, handle, opens: 0, writers: 0, access: null, snapshot: null, kept: null };
    if (write) {
      const access = s.access ?? await exclusive(handle);
      try {
        if (truncate) await access.truncate(0);
      } catch (e) {
        if (!s.access) await access.close();
        throw e;
      }
      s.access = access;
      s.snapshot = null;
      s.writers++;
    } else if (!s.access) {
      s.snapshot = await handle.getFile(); // another tab may have written since the last
    }
    s.opens++;
    this.shared.set(path, s);
    return s;
  }

  /** @param {string} path @param {number} flags @param {Shared | null} shared */
  describe(path, flags, shared) {
    const fd = this.nextFD++;
    this.opened.set(fd, { path, flags, at: 0, shared, ahead: new Uint8Array(), aheadAt: 0, aheadOf: null });
    return fd;
  }

  /** @param {number} fd */
  get(fd) {
    const o = this.opened.get(fd);
    if (!o) throw new FSError("EBADF", `descriptor ${fd}`);
    return o;
  }

  /** @param {number} fd @param {boolean} write */
  file(fd, write) {
    const o = this.get(fd);
    if (!o.shared) throw new FSError("EISDIR", o.path);
    if (write ? !(o.flags & (O.O_WRONLY | O.O_RDWR)) : o.flags & O.O_WRONLY) throw new FSError("EBADF", o.path);
    return { o, s: o.shared };
  }

  /** @param {number} fd */
  async close(fd) {
    const o = this.get(fd);
    this.opened.delete(fd);
    const s = o.shared;
    if (!s) return;
    await this.alone(o.path, async () => {
      if (--s.opens === 0 && this.shared.get(s.path) === s) this.shared.delete(s.path);
      if (!(o.flags & (O.O_WRONLY | O.O_RDWR)) || --s.writers > 0) return;
      const access = s.access;
      s.access = null;
      await access?.close();
    });
  }

  /**
   * read fills bytes from position, or from where the descriptor is (null), and resolves to their number, 0 at the end.
   * @param {number} fd
   * @param {Uint8Array} bytes
   * @param {number | null} position
   */
  async read(fd, bytes, position) {
    const { o, s } = this.file(fd, false);
    const n = await this.readAt(o, s, bytes, position ?? o.at).catch((e) => { throw asFSError(e, o.path); });
    if (position === null) o.at += n;
    return n;
  }

  /**
   * @param {Open} o
   * @param {Shared} s
   * @param {Uint8Array} bytes
   * @param {number} at
   * @returns {Promise<number>}
   */
  async readAt(o, s, bytes, at) {
    for (let again = false; ; again = true) {
      if (s.access) return s.access.read(bytes, { at });
      if (s.kept) return put(bytes, s.kept, at);
      try {
        const file = s.snapshot ??= await s.handle.getFile();
        if (at >= file.size) return 0;
        if (o.aheadOf !== file || at < o.aheadAt || at >= o.aheadAt + o.ahead.length) {
          const part = await file.slice(at, Math.min(file.size, at + Math.max(AHEAD, bytes.length))).arrayBuffer();
          if (s.snapshot !== file) continue; // someone wrote meanwhile
          o.ahead = new Uint8Array(part);
          o.aheadAt = at;
          o.aheadOf = file;
        }
        return put(bytes, o.ahead, at - o.aheadAt);
      } catch (e) {
        if (again) throw e;
        s.snapshot = null; // stale: another tab wrote the file
      }
    }
  }

  /**
   * write writes all bytes at position, or where the descriptor is (null). Where there is no room the file is left as it was long before.
   * @param {number} fd
   * @param {Uint8Array} bytes
   * @param {number | null} position
   */
  async write(fd, bytes, position) {
    const { o, s } = this.file(fd, true);
    const access = /** @type {Access} */ (s.access);
    try {
      const size = await access.getSize();
      const at = o.flags & O.O_APPEND ? size : position ?? o.at;
      try {
        writeAll(access, bytes, at, o.path);
      } catch (e) {
        if (await access.getSize() > size) await access.truncate(size);
        throw e;
      }
      if (position === null) o.at = at + bytes.length;
      return bytes.length;
    } catch (e) {
      throw asFSError(e, o.path);
    }
  }

  /** @param {number} fd @param {number} size */
  async ftruncate(fd, size) {
    const { o, s } = this.file(fd, true);
    try {
      await /** @type {Access} */ (s.access).truncate(size);
    } catch (e) {
      throw asFSError(e, o.path);
    }
  }

  /**
   * fsync has what was written survive the browser's end. A folder's entries always do.
   * @param {number} fd
   */
  async fsync(fd) {
    const o = this.get(fd);
    try {
      await o.shared?.access?.flush();
    } catch (e) {
      throw asFSError(e, o.path);
    }
  }

  /**
   * @param {number} fd
   * @returns {Promise<Stat>}
   */
  async fstat(fd) {
    const o = this.get(fd);
    if (!o.shared) return { kind: "directory", size: 0, modified: 0 };
    return this.statFile(o.shared).catch((e) => { throw asFSError(e, o.path); });
  }

  /**
   * @param {Shared} s
   * @returns {Promise<Stat>}
   */
  async statFile(s) {
    if (s.access) return { kind: "file", size: await s.access.getSize(), modified: Date.now() };
    if (s.kept) return { kind: "file", size: s.kept.length, modified: 0 };
    s.snapshot ??= await s.handle.getFile();
    return { kind: "file", size: s.snapshot.size, modified: s.snapshot.lastModified };
  }

  /**
   * @param {string} path
   * @returns {Promise<Stat>}
   */
  async stat(path) {
    try {
      path = normalise(path);
      const s = this.shared.get(path);
      if (s?.access) return await this.statFile(s);
      const found = await this.find(path);
      if (!found) throw new FSError("ENOENT", path);
      if (found.kind === "directory") return { kind: "directory", size: 0, modified: 0 };
      const file = await found.getFile();
      return { kind: "file", size: file.size, modified: file.lastModified };
    } catch (e) {
      throw asFSError(e, path);
    }
  }

  /**
   * readdir resolves to a folder's names, in order.
   * @param {string} path
   */
  async readdir(path) {
    try {
      const names = [];
      for await (const name of (await this.folder(normalise(path))).keys()) names.push(name);
      return names.sort();
    } catch (e) {
      throw asFSError(e, path);
    }
  }

  /** @param {string} path */
  mkdir(path) {
    return this.alone(path, async () => {
      path = normalise(path);
      if (await this.find(path)) throw new FSError("EEXIST", path);
      await this.makeFolder(path);
    });
  }

  /**
   * mkdirAll makes a folder and those above it.
   * @param {string} path
   */
  mkdirAll(path) {
    return this.alone(path, async () => {
      path = normalise(path);
      for (let i = path.indexOf("/", 1); i > 0; i = path.indexOf("/", i + 1)) await this.makeFolder(path.slice(0, i));
      if (path !== "/") await this.makeFolder(path);
    });
  }

  /** @param {string} path */
  unlink(path) {
    return this.alone(path, async () => {
      path = normalise(path);
      const found = await this.find(path);
      if (!found) throw new FSError("ENOENT", path);
      if (found.kind === "directory") throw new FSError("EISDIR", path);
      await this.release(path);
      await this.removeName(path);
    });
  }

  /** @param {string} path */
  rmdir(path) {
    return this.alone(path, async () => {
      path = normalise(path);
      if (path === "/") throw new FSError("EBUSY", path);
      await this.folder(path); // that it is one
      await this.removeName(path);
    });
  }

  /**
   * removeAll removes what has the name and what is in it, if it is there.
   * @param {string} path
   */
  removeAll(path) {
    return this.alone(path, async () => {
      path = normalise(path);
      for (const p of [...this.shared.keys()]) {
        if (within(p, path)) await this.release(p);
      }
      const { folder, name } = split(path);
      try {
        await (await this.folder(folder)).removeEntry(name, { recursive: true });
      } catch (e) {
        if (nameOf(e) !== "NotFoundError") throw e;
      } finally {
        this.forget(path);
      }
    });
  }

  /** @param {string} path normalised */
  async removeName(path) {
    const { folder, name } = split(path);
    await (await this.folder(folder)).removeEntry(name);
    this.forget(path);
  }

  /**
   * release prepares an open file's going: those who read it keep what it held; while someone writes it cannot go.
   * @param {string} path normalised
   */
  async release(path) {
    const s = this.shared.get(path);
    if (!s) return;
    if (s.access) throw new FSError("EBUSY", path);
    const file = s.snapshot ??= await s.handle.getFile();
    if (file.size <= KEEP) s.kept = new Uint8Array(await file.slice(0, file.size).arrayBuffer());
    this.shared.delete(path);
  }

  /**
   * rename gives a file or a folder another name. A file there is replaced.
   * @param {string} from
   * @param {string} to
   */
  rename(from, to) {
    return this.alone(from, async () => {
      from = normalise(from);
      to = normalise(to);
      const source = await this.find(from);
      if (!source) throw new FSError("ENOENT", from);
      if (from === to) return;
      if (from === "/" || (source.kind === "directory" && within(to, from))) throw new FSError("EINVAL", to);
      const target = await this.find(to);
      if (source.kind === "file") {
        if (target?.kind === "directory") throw new FSError("EISDIR", to);
        await this.release(from);
        await this.release(to);
        await this.moveFile(from, source, to);
        return;
      }
      if (target?.kind === "file") throw new FSError("ENOTDIR", to);
      if (target && (await this.readdir(to)).length > 0) throw new FSError("ENOTEMPTY", to);
      for (const [p, s] of [...this.shared]) {
        if (within(p, from) && s.access) throw new FSError("EBUSY", p);
      }
      await this.moveFolder(from, to);
    });
  }

  /**
   * moveFolder moves file for file: no browser moves a folder at once.
   * @param {string} from
   * @param {string} to
   */
  async moveFolder(from, to) {
    await this.makeFolder(to);
    const last = (/** @type {string} */ n) => Number(n === VOUCHER);
    for (const n of (await this.readdir(from)).sort((a, b) => last(a) - last(b))) {
      const path = `${from}/${n}`;
      const found = await this.find(path);
      if (found?.kind === "directory") {
        await this.moveFolder(path, `${to}/${n}`);
      } else if (found) {
        await this.release(path);
        await this.moveFile(path, found, `${to}/${n}`);
      }
    }
    await this.removeName(from);
  }

  /**
   * @param {string} from
   * @param {FileHandle} handle
   * @param {string} to
   */
  async moveFile(from, handle, to) {
    const { folder, name } = split(to);
    const at = await this.folder(folder);
    if (handle.move) {
      try {
        await handle.move(at, name);
        return;
      } catch (e) {
        if (["NoModificationAllowedError", "QuotaExceededError", "NotFoundError"].includes(nameOf(e))) throw e;
      }
    }
    // The target is gone before it is replaced: nobody may take half of it for the whole.
    if (await this.find(to)) await at.removeEntry(name);
    const copy = await at.getFileHandle(name, { create: true });
    let access;
    try {
      access = await exclusive(copy);
      const file = await handle.getFile();
      for (let i = 0; i < file.size; i += CHUNK) {
        const part = await file.slice(i, Math.min(file.size, i + CHUNK)).arrayBuffer();
        writeAll(access, new Uint8Array(part), i, to);
      }
      await access.flush();
    } catch (e) {
      await access?.close();
      await at.removeEntry(name);
      throw e;
    }
    await access.close();
    await this.removeName(from);
  }
}
