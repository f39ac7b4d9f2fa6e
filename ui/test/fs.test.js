// The file system over memory: what the Go program of fs_test.go cannot ask for, above all ends in the middle.
import assert from "node:assert/strict";
import test from "node:test";
import { FileSystem, O } from "../fs.js";
import { MemoryFolder } from "../memory.js";
import { nodeFS } from "../nodefs.js";

const WRITE = O.O_WRONLY | O.O_CREAT | O.O_TRUNC;
const bytes = (text) => new TextEncoder().encode(text);

async function write(files, path, text) {
  const fd = await files.open(path, WRITE);
  await files.write(fd, bytes(text), null);
  await files.close(fd);
}

async function read(files, path) {
  const fd = await files.open(path, 0);
  const b = new Uint8Array(1 << 16);
  const n = await files.read(fd, b, null);
  await files.close(fd);
  return new TextDecoder().decode(b.subarray(0, n));
}

/** watched is handle with every call of it and of what it gives out announced to before, which may throw or never end. */
function watched(handle, before, hidden = []) {
  return new Proxy(handle, {
    get(target, key) {
      if (hidden.includes(key)) return undefined;
      const value = target[key];
      if (typeof value !== "function" || key === "keys") return typeof value === "function" ? value.bind(target) : value;
      const sync = ["read", "write", "getSize", "truncate", "flush", "close"].includes(key);
      const give = (r) => (r !== null && typeof r === "object" && "kind" in r || key === "createSyncAccessHandle" ? watched(r, before, hidden) : r);
      if (sync) {
        return (...args) => {
          before(key, args);
          return value.apply(target, args);
        };
      }
      return async (...args) => {
        await before(key, args);
        return give(await value.apply(target, args));
      };
    },
  });
}

const code = (wanted) => (e) => {
  assert.equal(e.code, wanted, String(e));
  return true;
};

for (const hidden of [[], ["move"]]) {
  test(`a tab that ends while a folder is renamed ${hidden.length ? "by copies" : "by moves"} leaves a whole folder or no state.json that says so`, async () => {
    const held = { "state.json": "{}", "model.safetensors": "weights", "config.toml": "x = 1", "sub/zz": "deep" };
    let whole = 0;
    for (let end = 0; ; end++) {
      const root = new MemoryFolder();
      const setup = new FileSystem(root);
      await setup.mkdirAll("/c/.partial-1/sub");
      for (const [name, text] of Object.entries(held)) await write(setup, "/c/.partial-1/" + name, text);

      let calls = 0;
      let stopped;
      const ended = new Promise((f) => { stopped = f; });
      const dies = (key) => {
        if (calls++ < end) return undefined;
        stopped("ended");
        if (["read", "write", "getSize", "truncate", "flush", "close"].includes(key)) throw new Error("ended"); // nothing runs after it either
        return new Promise(() => {});
      };
      const files = new FileSystem(watched(root, dies, hidden));
      const how = await Promise.race([files.rename("/c/.partial-1", "/c/1").then(() => "done", () => "ended"), ended]);

      // Another tab would find what is there now. Locks end with the worker.
      const after = new FileSystem(root);
      const names = await after.readdir("/c/1").catch(() => []);
      // A copy, unlike a move, may leave the file empty: that vouches for nothing.
      if (names.includes("state.json") && (hidden.length === 0 || await read(after, "/c/1/state.json") !== "")) {
        whole++;
        for (const [name, text] of Object.entries(held)) assert.equal(await read(after, "/c/1/" + name), text, `after ${end} calls`);
      }
      if (how === "done") {
        assert.deepEqual(await after.readdir("/c"), ["1"]);
        assert.ok(end >= 15 && whole >= 1, `${end} calls, ${whole} whole`);
        return;
      }
      // The next start removes both and begins again.
      await after.removeAll("/c/1");
      await after.removeAll("/c/.partial-1");
      assert.deepEqual(await after.readdir("/c"), []);
    }
  });
}

test("no room: ENOSPC, the file is as long as before, and nothing stays open", async () => {
  const root = new MemoryFolder();
  let room = 10;
  const files = new FileSystem(watched(root, (key, args) => {
    if (key !== "write") return;
    if (args[0].length > room) throw new DOMException("full", "QuotaExceededError");
    room -= args[0].length;
  }));
  await write(files, "/a", "12345");
  const fd = await files.open("/a", O.O_WRONLY | O.O_APPEND);
  await assert.rejects(files.write(fd, bytes("67890!"), null), code("ENOSPC"));
  assert.equal((await files.fstat(fd)).size, 5);
  await files.close(fd);
  assert.equal(await read(files, "/a"), "12345");
  await files.unlink("/a");
  assert.equal(files.opened.size + files.shared.size, 0);
});

test("no room while a file is copied to another name: the source stays, the half is gone", async () => {
  const root = new MemoryFolder();
  await write(new FileSystem(root), "/a", "12345");
  const files = new FileSystem(watched(root, (key) => {
    if (key === "write") throw new DOMException("full", "QuotaExceededError");
  }, ["move"]));
  await assert.rejects(files.rename("/a", "/b"), code("ENOSPC"));
  assert.deepEqual(await files.readdir("/"), ["a"]);
  assert.equal(await read(files, "/a"), "12345");
});

test("a write that takes a part of its bytes goes on with the rest", async () => {
  const root = new MemoryFolder();
  const files = new FileSystem({ kind: "directory", getFileHandle: async (name, o) => {
    const f = await root.getFileHandle(name, o);
    return { kind: "file", getFile: () => f.getFile(), createSyncAccessHandle: async () => {
      const a = await f.createSyncAccessHandle();
      return { ...a, write: (b, o) => a.write(b.subarray(0, 3), o) };
    } };
  } });
  await write(files, "/a", "0123456789");
  assert.equal(await read(files, "/a"), "0123456789");
});

test("a file that another tab has open is busy", async () => {
  const root = new MemoryFolder();
  const [mine, other] = [new FileSystem(root), new FileSystem(root)];
  await write(mine, "/free", "x");
  const fd = await other.open("/a", WRITE);
  await other.write(fd, bytes("theirs"), null);
  await assert.rejects(mine.open("/a", WRITE), code("EBUSY"));
  await assert.rejects(mine.unlink("/a"), code("EBUSY"));
  await assert.rejects(mine.rename("/free", "/a"), code("EBUSY"));
  assert.equal(await read(mine, "/a"), "theirs"); // reading does not lock
  await other.close(fd);
  await mine.rename("/free", "/a");
  assert.equal(await read(mine, "/a"), "x");
  assert.equal(mine.opened.size + mine.shared.size, 0);
});

test("a moment's lock is waited for", async () => {
  const root = new MemoryFolder();
  const [mine, other] = [new FileSystem(root), new FileSystem(root)];
  const fd = await other.open("/a", WRITE);
  const waiting = mine.open("/a", WRITE);
  setTimeout(() => other.close(fd), 60);
  await mine.close(await waiting);
});

test("what is open to write is neither removed nor renamed", async () => {
  const files = new FileSystem(new MemoryFolder());
  await files.mkdirAll("/d/e");
  const fd = await files.open("/d/e/f", WRITE);
  await assert.rejects(files.unlink("/d/e/f"), code("EBUSY"));
  await assert.rejects(files.removeAll("/d"), code("EBUSY"));
  await assert.rejects(files.rename("/d", "/g"), code("EBUSY"));
  assert.deepEqual(await files.readdir("/"), ["d"]);
  await files.close(fd);
  await files.removeAll("/d");
  assert.deepEqual(await files.readdir("/"), []);
  await files.removeAll("/d");
});

test("two that write one file share it", async () => {
  const files = new FileSystem(new MemoryFolder());
  const [a, b] = await Promise.all([files.open("/f", O.O_RDWR | O.O_CREAT), files.open("/f", O.O_RDWR | O.O_CREAT)]);
  await files.write(a, bytes("abc"), null);
  await files.write(b, bytes("X"), 1);
  await files.close(a);
  const got = new Uint8Array(5);
  assert.equal(await files.read(b, got, 0), 3);
  assert.equal(new TextDecoder().decode(got.subarray(0, 3)), "aXc");
  await files.close(b);
  await files.close(await files.open("/f", WRITE));
});

test("paths", async () => {
  const root = new MemoryFolder();
  const files = new FileSystem(root);
  await files.mkdir("/a");
  await write(files, "a/../a//./f/", "x");
  assert.deepEqual(await files.readdir("/../../a"), ["f"]);
  for (const [path, wanted] of [["", "EINVAL"], ["/a\0b", "EINVAL"], ["/" + "ü".repeat(128), "ENAMETOOLONG"], ["/a/f/g", "ENOTDIR"], ["/b/c", "ENOENT"]]) {
    await assert.rejects(files.stat(path), code(wanted));
    await assert.rejects(files.open(path, WRITE), code(wanted));
    await assert.rejects(files.mkdir(path), code(wanted));
    await assert.rejects(files.unlink(path), code(wanted));
    await assert.rejects(files.rename(path, "/z"), code(wanted));
    await assert.rejects(files.rename("/a/f", path), code(wanted));
  }
  await assert.rejects(files.rmdir("/"), code("EBUSY"));
  await assert.rejects(files.rename("/", "/x"), code("EINVAL"));
  assert.equal((await files.stat("/")).kind, "directory");
  await files.mkdirAll("/__proto__/constructor");
  assert.deepEqual(await files.readdir("/"), ["__proto__", "a"]);
});

test("a folder that went and came again is the new one", async () => {
  const root = new MemoryFolder();
  const [files, other] = [new FileSystem(root), new FileSystem(root)];
  await files.mkdirAll("/a/b");
  await write(files, "/a/b/old", "x");
  // Whoever looks while it goes keeps no handle of what is gone.
  await Promise.allSettled([files.stat("/a/b/old"), files.removeAll("/a"), files.stat("/a/b/old"), files.readdir("/a/b"), files.mkdirAll("/a/b")]);
  await write(files, "/a/b/new", "y");
  assert.equal(await read(other, "/a/b/new"), "y");
  await files.rename("/a", "/c");
  await files.mkdirAll("/a/b");
  await write(files, "/a/b/newer", "z");
  await new Promise((f) => setTimeout(f, 250)); // a tab notices what another did a moment later
  assert.deepEqual([await other.readdir("/a/b"), await other.readdir("/c/b")], [["newer"], ["new"]]);
  await files.unlink("/c/b/new");
  await files.rmdir("/c/b");
  await assert.rejects(files.stat("/c/b/new"), code("ENOENT"));
});

test("a reader follows what another tab writes", async () => {
  const root = new MemoryFolder();
  // As in a browser, a File fails once its file has changed.
  const strict = { kind: "directory", getDirectoryHandle: (n, o) => root.getDirectoryHandle(n, o), getFileHandle: async (name, o) => {
    const f = await root.getFileHandle(name, o);
    return { kind: "file", createSyncAccessHandle: () => f.createSyncAccessHandle(), getFile: async () => {
      const { size, lastModified, slice } = await f.getFile();
      return { size, lastModified, slice: (a, b) => ({ arrayBuffer: async () => {
        if (f.size !== size) throw new DOMException("changed", "NotReadableError");
        return slice(a, b).arrayBuffer();
      } }) };
    } };
  } };
  const [mine, other] = [new FileSystem(strict), new FileSystem(root)];
  await write(other, "/f", "one");
  const fd = await mine.open("/f", 0);
  await write(other, "/f", "longer");
  const got = new Uint8Array(10);
  assert.equal(await mine.read(fd, got, 0), 6);
  await mine.close(fd);
});

test("every callback gets an error that Go knows, or null", async () => {
  const known = new Set(["EBADF", "EINVAL", "ENOENT", "EIO", "EISDIR", "ENOSYS"]);
  const broken = { kind: "directory", getFileHandle: async () => { throw new DOMException("?", "StrangeError"); }, getDirectoryHandle: async () => { throw "text"; }, keys: () => { throw null; } };
  for (const root of [new MemoryFolder(), broken]) {
    const fs = nodeFS(new FileSystem(root), () => {});
    const calls = {
      open: ["/x", 0, 0], close: [99], read: [99, new Uint8Array(1), 0, 1, null], write: [99, new Uint8Array(1), 0, 1, null], fstat: [99], stat: ["/x"], lstat: ["/x"],
      readdir: ["/x"], unlink: ["/x"], rmdir: ["/x"], rename: ["/x", "/y"], fsync: [99], ftruncate: [99, 1], truncate: ["/x", 1], readlink: ["/x"], link: ["/x", "/y"], symlink: ["/x", "/y"],
    };
    for (const [name, args] of Object.entries(calls)) {
      const e = await new Promise((f) => fs[name](...args, f));
      assert.ok(e instanceof Error && known.has(e.code), `${name}: ${e?.code}`);
    }
    for (const name of ["chmod", "fchmod", "chown", "fchown", "lchown", "utimes"]) assert.equal(await new Promise((f) => fs[name]("/x", 0, 0, f)), null);
  }
});

test("lines of stdout and stderr come whole", () => {
  const lines = [];
  const fs = nodeFS(new FileSystem(new MemoryFolder()), (fd, line) => lines.push([fd, line]));
  const b = bytes("grün\nblau\nrest");
  assert.equal(fs.writeSync(2, b.subarray(0, 3)), 3); // in the middle of ü
  fs.writeSync(1, bytes("out\n"));
  fs.writeSync(2, b.subarray(3));
  assert.deepEqual(lines, [[1, "out"], [2, "grün"], [2, "blau"]]);
  fs.writeSync(2, bytes(" of it\n"));
  assert.deepEqual(lines.at(-1), [2, "rest of it"]);
});
