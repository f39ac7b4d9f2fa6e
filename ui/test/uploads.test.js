// What people bring: runs and models as files, folders and archives, and texts.
import assert from "node:assert/strict";
import test from "node:test";
import { zipSync } from "fflate";
import { FileSystem } from "../fs.js";
import { FSError } from "../handles.js";
import { MemoryFolder } from "../memory.js";
import { cleanName, failure, keepText, pack, sweep, takeFiles } from "../uploads.js";
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
  assert.deepEqual(await keepText(files, blob("one"), "book.txt"), { path: "/texts/book.txt", bytes: 3, kind: "text" });
  assert.deepEqual(await keepText(files, blob("one"), "book.txt"), { path: "/texts/book.txt", bytes: 3, kind: "text" });
  assert.deepEqual(await keepText(files, blob("two"), "book.txt"), { path: "/texts/book-2.txt", bytes: 3, kind: "text" });
  assert.deepEqual(await keepText(files, blob("two"), "book.txt"), { path: "/texts/book-2.txt", bytes: 3, kind: "text" });
  assert.deepEqual(await keepText(files, blob("ü\r\n\t"), "../../etc/pass:wd"), { path: "/texts/pass-wd", bytes: 5, kind: "text" });
  const long = "x".repeat((2 << 20) + 5);
  assert.deepEqual(await keepText(files, blob(long + "a"), "long"), { path: "/texts/long", bytes: long.length + 1, kind: "text" });
  assert.deepEqual(await keepText(files, blob(long + "b"), "long"), { path: "/texts/long-2", bytes: long.length + 1, kind: "text" });
  const got = await tree(files);
  assert.deepEqual(Object.keys(got), ["/texts/book-2.txt", "/texts/book.txt", "/texts/long", "/texts/long-2", "/texts/pass-wd"]);
  assert.equal(got["/texts/book.txt"], "one");
  assert.equal(got["/texts/long-2"], long + "b");
  assert.equal(files.opened.size, 0);
});

test("sounds are kept whole, and known by their names", async () => {
  const files = fresh();
  const wav = (/** @type {string} */ kind, /** @type {number[]} */ ...more) => new Blob([kind, new Uint8Array([4, 0, 0, 0]), "WAVE", new Uint8Array(more)]);
  assert.deepEqual(await keepText(files, wav("RIFF", 0, 0xff, 0xfe), "notes.wav"), { path: "/texts/notes.wav", bytes: 15, kind: "sound" });
  assert.deepEqual(await keepText(files, wav("RIFF", 0, 0xff, 0xfe), "notes.wav"), { path: "/texts/notes.wav", bytes: 15, kind: "sound" });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "notes.wav"), { path: "/texts/notes-2.wav", bytes: 13, kind: "sound" });
  assert.deepEqual(await keepText(files, wav("RF64", 1), "LOUD.WAV"), { path: "/texts/LOUD.WAV", bytes: 13, kind: "sound" });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "notes.txt"), { path: "/texts/notes.txt.wav", bytes: 13, kind: "sound" });
  assert.deepEqual(await keepText(files, wav("RIFF", 1), "..."), { path: "/texts/sound.wav", bytes: 13, kind: "sound" });
  assert.deepEqual(await keepText(files, blob("RIFF is no sound"), "riff.txt"), { path: "/texts/riff.txt", bytes: 16, kind: "text" });
  for (const file of [blob("a text"), blob("RIFF...."), blob("RIFFxxxxAVI and more")]) {
    await assert.rejects(keepText(files, file, "a.wav "), (e) => failure(e).code === "data" && /a\.wav +is no WAV file/.test(e.message));
  }
  await assert.rejects(keepText(files, wav("RIFX", 0), "a.dat"), /a\.dat is no plain text: byte 5 is zero/);
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
    [blob("x".repeat(1 << 20) + "abc\0def"), /a\.txt is no plain text: byte 1048579 is zero/],
    [new Blob([new Uint8Array([0xff, 0xfe, 0x41, 0])]), /a\.txt is in UTF-16/],
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
