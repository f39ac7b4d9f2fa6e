// A worker that runs the test binary of a Go package. Its files are those of the module, only to read, over HTTP.
"use strict";

const failure = (code) => Object.assign(new Error(code), { code });
const utf8 = new TextDecoder();
let output = "";
let cwd = "/";

// load resolves to a file's bytes or a folder's names, or rejects with ENOENT.
const loaded = new Map();
const load = (path) => {
  const { pathname } = new URL(path, "http://x" + cwd + "/");
  if (!loaded.has(pathname)) {
    loaded.set(pathname, fetch("/files" + pathname).then(async (r) => {
      if (!r.ok) throw failure("ENOENT");
      if (r.headers.get("X-Kind") === "folder") return { names: await r.json(), bytes: new Uint8Array() };
      return { names: null, bytes: new Uint8Array(await r.arrayBuffer()) };
    }));
  }
  return loaded.get(pathname);
};
const stat = ({ names, bytes }) => ({
  dev: 0, ino: 0, mode: names ? 0o40555 : 0o100444, nlink: 1, uid: 0, gid: 0, rdev: 0, size: bytes.length,
  blksize: 4096, blocks: Math.ceil(bytes.length / 512), atimeMs: 0, mtimeMs: 0, ctimeMs: 0, isDirectory: () => names !== null,
});
const answer = (promise, callback) => {
  promise.then((v) => callback(null, v), (e) => callback(e.code ? e : failure("EIO")));
};

const O = { O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536 };
const open = new Map(); // by descriptor: { file, at }
let next = 3;
const file = async (fd) => {
  if (!open.has(fd)) throw failure("EBADF");
  return open.get(fd);
};
const refuse = (...args) => args.at(-1)(failure("EROFS"));

globalThis.fs = {
  constants: O,
  writeSync(fd, buf) {
    output += utf8.decode(buf, { stream: true });
    return buf.length;
  },
  write(fd, buf, offset, length, position, callback) {
    callback(null, this.writeSync(fd, buf.subarray(offset, offset + length)));
  },
  open(path, flags, mode, callback) {
    if (flags & (O.O_WRONLY | O.O_RDWR | O.O_CREAT)) return refuse(callback);
    answer(load(path).then((f) => {
      if (flags & O.O_DIRECTORY && !f.names) throw failure("ENOTDIR");
      open.set(next, { file: f, at: 0 });
      return next++;
    }), callback);
  },
  read(fd, buffer, offset, length, position, callback) {
    answer(file(fd).then((o) => {
      if (o.file.names) throw failure("EISDIR");
      const from = position ?? o.at;
      const part = o.file.bytes.subarray(from, from + length);
      buffer.set(part, offset);
      if (position === null) o.at += part.length;
      return part.length;
    }), callback);
  },
  close(fd, callback) {
    answer(file(fd).then(() => void open.delete(fd)), callback);
  },
  fstat(fd, callback) {
    answer(file(fd).then((o) => stat(o.file)), callback);
  },
  stat(path, callback) {
    answer(load(path).then(stat), callback);
  },
  lstat(path, callback) {
    answer(load(path).then(stat), callback);
  },
  readdir(path, callback) {
    answer(load(path).then((f) => {
      if (!f.names) throw failure("ENOTDIR");
      return f.names;
    }), callback);
  },
  fsync: (fd, callback) => callback(null),
  readlink: (path, callback) => callback(failure("EINVAL")),
};
for (const name of ["chmod", "chown", "fchmod", "fchown", "ftruncate", "lchown", "link", "mkdir", "rename", "rmdir", "symlink", "truncate", "unlink", "utimes"]) {
  globalThis.fs[name] = refuse;
}
const nobody = () => -1;
globalThis.process = {
  getuid: nobody, getgid: nobody, geteuid: nobody, getegid: nobody, getgroups: () => [], pid: -1, ppid: -1,
  umask: () => 0o22, cwd: () => cwd, chdir: () => { throw failure("ENOSYS"); },
};

importScripts("/wasm_exec.js");

// A message { folder, args, env } runs the binary once; the answer is { code, out }.
onmessage = async ({ data }) => {
  const go = new Go();
  go.argv = ["test", ...data.args];
  go.env = data.env;
  cwd = data.folder;
  let code = -1;
  go.exit = (c) => { code = c; };
  try {
    const { instance } = await WebAssembly.instantiateStreaming(fetch("/test.wasm"), go.importObject);
    await go.run(instance);
  } catch (e) {
    output += e.stack;
  }
  postMessage({ code, out: output });
};
