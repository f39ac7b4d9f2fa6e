// @ts-check
// A file system in memory that looks like OPFS, for browsers that refuse that: private windows, storage switched off.

/** @param {string} name @param {string} message */
const error = (name, message) => new DOMException(message, name);

/** @param {string} name */
function checkName(name) {
  if (name === "" || name === "." || name === ".." || name.includes("/")) throw new TypeError(`"${name}" is no file name`);
}

/** MemoryFile has the methods of a FileSystemFileHandle that fs.js calls. */
class MemoryFile {
  /** @param {string} name @param {MemoryFolder} folder */
  constructor(name, folder) {
    /** @type {"file"} */
    this.kind = "file";
    this.name = name;
    this.folder = folder;
    this.bytes = new Uint8Array(); // with room at its end
    this.size = 0;
    this.modified = Date.now();
    this.locked = false;
  }

  async getFile() {
    const size = this.size;
    return {
      size, lastModified: this.modified,
      /** @param {number} from @param {number} to */
      slice: (from, to) => ({ arrayBuffer: async () => this.bytes.slice(from, Math.min(to, size)).buffer }),
    };
  }

  async createSyncAccessHandle() {
    if (this.locked) throw error("NoModificationAllowedError", `${this.name} is open`);
    this.locked = true;
    let open = true;
    const check = () => {
      if (!open) throw error("InvalidStateError", `${this.name} is closed`);
    };
    return {
      /** @param {Uint8Array} bytes @param {{ at: number }} o */
      read: (bytes, { at }) => {
        check();
        const part = this.bytes.subarray(Math.min(at, this.size), Math.min(at + bytes.length, this.size));
        bytes.set(part);
        return part.length;
      },
      /** @param {Uint8Array} bytes @param {{ at: number }} o */
      write: (bytes, { at }) => {
        check();
        this.reserve(at + bytes.length);
        this.bytes.set(bytes, at);
        this.size = Math.max(this.size, at + bytes.length);
        this.modified = Date.now();
        return bytes.length;
      },
      getSize: () => {
        check();
        return this.size;
      },
      /** @param {number} size */
      truncate: (size) => {
        check();
        if (size > this.size) this.reserve(size);
        else this.bytes.fill(0, size, this.size); // what grows again is zeros
        this.size = size;
        this.modified = Date.now();
      },
      flush: check,
      close: () => {
        if (open) this.locked = false;
        open = false;
      },
    };
  }

  /**
   * reserve makes room for size bytes.
   * @param {number} size
   */
  reserve(size) {
    if (size <= this.bytes.length) return;
    let more;
    try {
      more = new Uint8Array(Math.max(size, Math.min(2 * this.bytes.length, this.bytes.length + (64 << 20))));
    } catch (e) {
      throw error("QuotaExceededError", `no memory for ${size} bytes: ${e instanceof Error ? e.message : e}`);
    }
    more.set(this.bytes.subarray(0, this.size));
    this.bytes = more;
  }

  /** @param {MemoryFolder} folder @param {string} name */
  async move(folder, name) {
    checkName(name);
    const there = folder.entries.get(name);
    if (this.locked || (there?.kind === "file" && there.locked)) throw error("NoModificationAllowedError", `${this.name} or ${name} is open`);
    if (there?.kind === "directory") throw error("TypeMismatchError", `${name} is a folder`);
    this.folder.entries.delete(this.name);
    folder.entries.set(name, this);
    this.folder = folder;
    this.name = name;
  }
}

/** MemoryFolder has the methods of a FileSystemDirectoryHandle that fs.js calls. */
export class MemoryFolder {
  constructor(name = "") {
    /** @type {"directory"} */
    this.kind = "directory";
    this.name = name;
    /** @type {Map<string, MemoryFile | MemoryFolder>} */
    this.entries = new Map();
  }

  /** @param {string} name @param {{ create?: boolean }} [o] */
  async getDirectoryHandle(name, o) {
    checkName(name);
    const there = this.entries.get(name) ?? (o?.create ? new MemoryFolder(name) : undefined);
    if (!there) throw error("NotFoundError", `no folder ${name}`);
    if (there.kind !== "directory") throw error("TypeMismatchError", `${name} is a file`);
    this.entries.set(name, there);
    return there;
  }

  /** @param {string} name @param {{ create?: boolean }} [o] */
  async getFileHandle(name, o) {
    checkName(name);
    const there = this.entries.get(name) ?? (o?.create ? new MemoryFile(name, this) : undefined);
    if (!there) throw error("NotFoundError", `no file ${name}`);
    if (there.kind !== "file") throw error("TypeMismatchError", `${name} is a folder`);
    this.entries.set(name, there);
    return there;
  }

  /** @param {string} name @param {{ recursive?: boolean }} [o] */
  async removeEntry(name, o) {
    checkName(name);
    const there = this.entries.get(name);
    if (!there) throw error("NotFoundError", `no ${name}`);
    if (there.kind === "directory" && there.entries.size > 0 && !o?.recursive) throw error("InvalidModificationError", `${name} is not empty`);
    if (there.kind === "file" && there.locked) throw error("NoModificationAllowedError", `${name} is open`);
    this.entries.delete(name);
  }

  /** @returns {AsyncGenerator<string>} */
  async *keys() {
    yield* [...this.entries.keys()];
  }

  /**
   * used is the number of bytes that the files hold.
   * @returns {number}
   */
  used() {
    let n = 0;
    for (const e of this.entries.values()) n += e.kind === "file" ? e.size : e.used();
    return n;
  }
}
