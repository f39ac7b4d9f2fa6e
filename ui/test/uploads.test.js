// What people bring: runs and models as files, folders and archives, and texts.
import assert from "node:assert/strict";
import test from "node:test";
import { zipSync } from "fflate";
import { FileSystem } from "../fs.js";
import { FSError } from "../handles.js";
import { MemoryFolder } from "../memory.js";
import { cleanName, deleteText, failure, keepText, listTexts, pack, sweep, takeFiles } from "../uploads.js";
import { DataError, LIMITS, listZip, unzip } from "../zip.js";

const bytes = (text) => new TextEncoder().encode(text);
const blob = (text) => new Blob([text]);
const plain = (files) => Object.entries(files).map(([path, text]) => ({ path, file: blob(text) }));
const fresh = () => new FileSystem(new MemoryFolder());

/** tree is all files with their contents, without those folders that have a made-up name. */
async function tree(files, dir = "/") {
  const found = {};
  for (const name of await files.readdir(dir)) {
    const path = (dir === "/" ? "" : dir) + "/" + name;
    if ((await files.stat(path)).kind === "directory") {
      Object.assign(found, await tree(files, path));
      continue;
    }
    const fd = await files.open(path, 0);
    const b = new Uint8Array((await files.fstat(fd)).size);
    await files.read(fd, b, null);
    await files.close(fd);
    found[path] = new TextDecoder().decode(b);
  }
  return found;
}

async function taken(uploads) {
  const files = fresh();
  const dir = await takeFiles(files, uploads);
  const got = await tree(files);
  assert.equal(files.opened.size, 0);
  return Object.fromEntries(Object.entries(got).map(([path, text]) => {
    assert.ok(path.startsWith(dir + "/"));
    return [path.slice(dir.length + 1), text];
  }));
}

/** refused checks that an upload is refused, for the reason given, and leaves nothing behind. */
async function refused(uploads, why) {
  const files = fresh();
  await assert.rejects(takeFiles(files, uploads), (e) => {
    assert.ok(e instanceof DataError, String(e?.stack));
    assert.match(e.message, why);
    return true;
  });
  assert.deepEqual(await tree(files), {});
  assert.deepEqual(await files.readdir("/imports").catch(() => []), []);
  assert.equal(files.opened.size, 0);
}

test("a model's two files, a run's folder, an archive", async () => {
  const model = { "model.safetensors": "m".repeat(3 << 20), "config.json": "{}" };
  assert.deepEqual(await taken(plain(model)), model);
  assert.deepEqual(await taken(plain({ "model (1).safetensors": "m", "config (2).json": "{}" })), { "model.safetensors": "m", "config.json": "{}" });
  const run = { "run/config.toml": "x", "run/model.safetensors": "m", "run/checkpoints/step-00000003/model.safetensors": "m3", "run/events.out.tfevents.1": "e" };
  assert.deepEqual(await taken(plain({ ...run, "run/.DS_Store": "x", "run/checkpoints/.partial-step-00000004/state.json": "{}" })), run);
  const archive = zipSync(Object.fromEntries(Object.entries(run).map(([p, t]) => [p, bytes(t)])));
  assert.deepEqual(await taken([{ path: "run.zip", file: new Blob([archive]) }]), run);
  assert.deepEqual(await taken([{ path: "download", file: new Blob([archive]) }]), run); // by its first bytes
});

test("what is neither", async () => {
  const archive = new Blob([zipSync({ "model.safetensors": bytes("m") })]);
  await refused([], /no files/);
  await refused(plain({ "cat.png": "x" }), /cat\.png is neither a \.zip nor a file of a model/);
  await refused(plain({ "config.json": "{}" }), /no weights in config\.json/);
  await refused(plain({ "photos/1.jpg": "x", "photos/2.jpg": "x" }), /no weights in the 2 files/);
  await refused(plain({ "run.zip": "no archive" }), /damaged/);
  await refused([{ path: "run.zip", file: archive }, ...plain({ "config.json": "{}" })], /run\.zip is an archive: give it alone/);
  await refused([...plain({ "config.json": "{}" }), { path: "run", file: archive }], /run is an archive: give it alone/);
  await refused(plain({ "model.safetensors": "a", "./model.safetensors": "b" }), /two files/);
  await refused(plain({ "../model.safetensors": "a" }), /path/);
  await refused([{ path: "model.safetensors", file: Object.assign(blob("x"), { slice: () => ({ arrayBuffer: async () => { throw new DOMException("gone", "NotFoundError"); } }) }) }], /model\.safetensors cannot be read \(gone\)/);
  const broken = zipSync({ "model.safetensors": bytes("m".repeat(100)), "a/b": bytes("abc") }, { level: 0 });
  broken[60] ^= 1;
  await refused([{ path: "run.zip", file: new Blob([broken]) }], /model\.safetensors is not what was packed/);
});

test("no room for an upload", async () => {
  const root = new MemoryFolder();
  const files = new FileSystem(root);
  files.write = async (fd, b) => { throw new FSError("ENOSPC", "/imports"); };
  await assert.rejects(takeFiles(files, plain({ "model.safetensors": "m" })), (e) => failure(e).code === "storage" && /full/.test(failure(e).message));
  assert.deepEqual(await files.readdir("/imports"), []);
});

test("texts keep their names, and each other", async () => {
  const files = fresh();
  assert.deepEqual(await keepText(files, blob("one"), "book.txt"), { path: "/texts/book.txt", bytes: 3, kind: "text", plain: true });
  assert.deepEqual(await keepText(files, blob("one"), "book.txt"), { path: "/texts/book.txt", bytes: 3, kind: "text", plain: true });
  assert.deepEqual(await keepText(files, blob("two"), "book.txt"), { path: "/texts/book-2.txt", bytes: 3, kind: "text", plain: true });
  assert.deepEqual(await keepText(files, blob("two"), "book.txt"), { path: "/texts/book-2.txt", bytes: 3, kind: "text", plain: true });
  assert.deepEqual(await keepText(files, blob("ü\r\n\t"), "../../etc/pass:wd"), { path: "/texts/pass-wd", bytes: 5, kind: "text", plain: true });
  const long = "x".repeat((2 << 20) + 5);
  assert.deepEqual(await keepText(files, blob(long + "a"), "long"), { path: "/texts/long", bytes: long.length + 1, kind: "text", plain: true });
  assert.deepEqual(await keepText(files, blob(long + "b"), "long"), { path: "/texts/long-2", bytes: long.length + 1, kind: "text", plain: true });
  const got = await tree(files);
  assert.deepEqual(Object.keys(got), ["/texts/book-2.txt", "/texts/book.txt", "/texts/long", "/texts/long-2", "/texts/pass-wd"]);
  assert.equal(got["/texts/book.txt"], "one");
  assert.equal(got["/texts/long-2"], long + "b");
  assert.equal(files.opened.size, 0);
});

test("sounds are kept whole, and known by their names", async () => {
  const files = fresh();
  const wav = (/** @type {string} */ kind, /** @type {number[]} */ ...more) => new Blob([kind, new Uint8Array([4, 0, 0, 0]), "WAVE", new Uint8Array(more)]);
  assert.deepEqual(await keepText(files, wav("RIFF", 0, 0xff, 0xfe), "notes.wav"), { path: "/texts/notes.wav", bytes: 15, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, wav("RIFF", 0, 0xff, 0xfe), "notes.wav"), { path: "/texts/notes.wav", bytes: 15, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "notes.wav"), { path: "/texts/notes-2.wav", bytes: 13, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, wav("RF64", 1), "LOUD.WAV"), { path: "/texts/LOUD.WAV", bytes: 13, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "notes.txt"), { path: "/texts/notes.txt.wav", bytes: 13, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "..."), { path: "/texts/sound.wav", bytes: 13, kind: "sound", plain: true });
  assert.deepEqual(await keepText(files, blob("RIFF is no sound"), "riff.txt"), { path: "/texts/riff.txt", bytes: 16, kind: "text", plain: true });
  for (const file of [blob("a text"), blob("RIFF...."), blob("RIFFxxxxAVI and more")]) {
    await assert.rejects(keepText(files, file, "a.wav "), (e) => failure(e).code === "data" && /a\.wav +(is called a sound, but is no WAV file|begins as a sound of another kind does)/.test(e.message));
  }
  // Every kind that the trainer reads, after an ID3 tag too.
  const tag = (/** @type {number} */ footer) => new Blob([`ID3\x03\0`, new Uint8Array([footer, 0, 0, 1, 2]), new Uint8Array(130 + (footer ? 10 : 0))]);
  for (const kind of ["RIFF", "RIFX", "RF64", "BW64"]) {
    for (const before of [[], [tag(0)], [tag(0x10)]]) {
      const file = new Blob([...before, wav(kind, 0, 1)]);
      assert.deepEqual(await keepText(fresh(), file, "a"), { path: "/texts/a.wav", bytes: file.size, kind: "sound", plain: true });
    }
  }
  const large = Object.assign(wav("RIFF", 1), {});
  Object.defineProperty(large, "size", { value: (256 << 20) + 1 });
  await assert.rejects(keepText(files, large, "a.wav"), /a\.wav has 257 MiB, and 256 MiB of sound is the most/);
  assert.deepEqual(Object.keys(await tree(files)), ["/texts/LOUD.WAV", "/texts/notes-2.wav", "/texts/notes.txt.wav", "/texts/notes.wav", "/texts/riff.txt", "/texts/sound.wav"]);
  assert.equal(files.opened.size, 0);
});

test("what is no text", async () => {
  const files = fresh();
  for (const [file, why] of [
    [blob(""), /a\.txt is empty/],
    [new Blob([new Uint8Array([0xff, 0xfe, 0x41, 0])]), /a\.txt is in UTF-16: save it as UTF-8/],
    [new Blob([new Uint8Array([0xfe, 0xff, 0, 0x41])]), /a\.txt is in UTF-16/],
    [new Blob([new Uint8Array([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0])]), /a\.txt is in UTF-32/],
    [{ size: LIMITS.bytes + 1 }, /a\.txt has 1\.0 GiB/],
  ]) {
    await assert.rejects(keepText(files, file, "a.txt"), (e) => {
      assert.equal(failure(e).code, "data");
      assert.match(e.message, why);
      return true;
    });
  }
  assert.deepEqual(await tree(files), {});
  assert.equal(files.opened.size, 0);
});

test("any other file is taken as it is, and it is told where it is no text", async () => {
  const files = fresh();
  const far = blob("x".repeat(1 << 20) + "abc\0def");
  assert.deepEqual(await keepText(files, far, "a.txt"), { path: "/texts/a.txt", bytes: far.size, kind: "text", plain: false });
  const png = new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13])]);
  assert.deepEqual(await keepText(files, png, "a.png"), { path: "/texts/a.png", bytes: 12, kind: "text", plain: false });
  assert.deepEqual(await keepText(files, new Blob([new Uint8Array([0xff, 0xd8, 0xff, 0xe0])]), "a.jpg"), { path: "/texts/a.jpg", bytes: 4, kind: "text", plain: true });
});

test("sounds that nothing reads are refused by their kind", async () => {
  const raw = (/** @type {(string | number)[]} */ ...parts) => new Blob(parts.map((p) => (typeof p === "string" ? p : new Uint8Array([p]))));
  for (const [kind, file] of /** @type {[string, Blob][]} */ ([
    ["FLAC", raw("fLaC", 0)], ["Ogg", raw("OggS", 0)], ["AU", raw(".snd", 0, 0)], ["CAF", raw("caff", 0, 1)], ["AMR", raw("#!AMR\n")], ["WMA", raw(0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11)],
    ["Wave64", raw("riff", 0x2e, 0x91, 0xcf, 0x11)], ["Matroska or WebM", raw(0x1a, 0x45, 0xdf, 0xa3)], ["AIFF", raw("FORM", 0, 0, 1, 0, "AIFC")], ["M4A or MP4", raw(0, 0, 0, 32, "ftypM4A ")],
    ["RIFF", raw("RIFF", 4, 0, 0, 0, "AVI ")], ["MP3", raw("ID3", 3, 0, 0, 0, 0, 0, 1, 0)], ["MP3", raw(0xff, 0xfb, 0x90, 0x64)], ["AAC", raw(0xff, 0xf1, 0x50, 0x80, 0, 0, 0, 0)],
  ])) {
    await assert.rejects(keepText(fresh(), file, "a.dat"), (e) => e.message.includes(`a.dat begins as a sound of another kind does, ${kind}: `) && /convert it to WAV/.test(e.message), kind);
  }
  await assert.rejects(keepText(fresh(), blob("no sound"), "a.flac"), /a\.flac is called a sound, but is no WAV file/);
  for (const text of ["RIFF is no sound", "FORM of what", "ID3 tags", "OggX", "fLa", "\u00ff\u00fb"]) assert.equal((await keepText(fresh(), blob(text), "a.txt")).kind, "text");
});

test("texts are listed, and deleted", async () => {
  const files = fresh();
  assert.deepEqual(await listTexts(files), []);
  await keepText(files, blob("one"), "b.txt");
  await keepText(files, blob("four"), "a.txt");
  const fd = await files.open("/texts/.new-1-x", 0o101);
  await files.close(fd);
  assert.deepEqual(await listTexts(files), [{ path: "/texts/a.txt", bytes: 4 }, { path: "/texts/b.txt", bytes: 3 }]);
  await deleteText(files, "/texts/a.txt");
  await deleteText(files, "/texts/a.txt"); // it is gone, as it was to be
  assert.deepEqual(await listTexts(files), [{ path: "/texts/b.txt", bytes: 3 }]);
  await files.mkdirAll("/runs");
  for (const path of ["/runs", "/texts", "/texts/", "/texts/..", "/texts/../runs", "/texts/x/y", "texts/b.txt", ""]) {
    await assert.rejects(deleteText(files, path), (e) => failure(e).code === "usage", path);
  }
  assert.deepEqual(await listTexts(files), [{ path: "/texts/b.txt", bytes: 3 }]);
});

test("names", () => {
  assert.equal(cleanName("a/b\\c.txt", "x"), "c.txt");
  assert.equal(cleanName(" ..hidden. ", "x"), "hidden");
  assert.equal(cleanName("...", "x"), "x");
  assert.equal(cleanName("a\u0000\n*?.txt", "x"), "a----.txt");
  assert.ok(new TextEncoder().encode(cleanName("🙂".repeat(100), "x")).length <= 120);
  assert.ok(cleanName("🙂".repeat(100), "x").isWellFormed?.() ?? true);
});

test("a run is packed below its name", async () => {
  const files = fresh();
  await files.mkdirAll("/runs/r/checkpoints");
  for (const [path, text] of [["config.toml", "x"], ["checkpoints/state.json", "s".repeat(3 << 20)]]) {
    const fd = await files.open("/runs/r/" + path, 0o101);
    await files.write(fd, bytes(text), null);
    await files.close(fd);
  }
  const archive = await pack(files, "/runs/r", "my/run: 1", ["config.toml", "checkpoints/state.json"]);
  const got = {};
  for (const e of await listZip(archive)) {
    let n = 0;
    for await (const part of unzip(archive, e)) n += part.length;
    got[e.path] = n;
  }
  assert.deepEqual(got, { "run- 1/config.toml": 1, "run- 1/checkpoints/state.json": 3 << 20 });
  await assert.rejects(pack(files, "/runs/r", "r", ["gone"]), (e) => e.code === "ENOENT");
  assert.equal(files.opened.size, 0);
});

test("what a closed tab left behind goes after an hour", async () => {
  const files = fresh();
  await sweep(files);
  const old = Date.now() - 3_700_000;
  for (const dir of [`/imports/${old}-aaaa`, `/imports/${Date.now()}-bbbb`, "/imports/other"]) await files.mkdirAll(dir);
  for (const path of [`.new-${old}-aaaa`, `.new-${Date.now()}-bbbb`, "1984"]) {
    await files.mkdirAll("/texts");
    await files.close(await files.open("/texts/" + path, 0o101));
  }
  await sweep(files);
  assert.deepEqual((await files.readdir("/imports")).map((n) => n.slice(-4)), ["bbbb", "ther"]);
  assert.deepEqual((await files.readdir("/texts")).map((n) => n.slice(-4)), ["bbbb", "1984"]);
});
