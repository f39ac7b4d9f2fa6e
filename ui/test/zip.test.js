// Archives: what is read back, and what hostile ones may not do.
import assert from "node:assert/strict";
import test from "node:test";
import { zipSync } from "fflate";
import { checkFiles, cleanPath, DataError, isZip, LIMITS, listZip, unzip, zip } from "../zip.js";

const bytes = (text) => new TextEncoder().encode(text);
const noise = (n) => Uint8Array.from({ length: n }, (_, i) => (i * i * 2654435761) >>> 13);

async function content(blob, entry) {
  const parts = [];
  for await (const part of unzip(blob, entry)) parts.push(part);
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function all(blob) {
  const found = {};
  for (const e of await listZip(blob)) found[e.path] = await content(blob, e);
  return found;
}

/** equal compares contents by path, large ones too. */
function equal(got, want) {
  assert.deepEqual(Object.keys(got).sort(), Object.keys(want).sort());
  for (const path of Object.keys(want)) assert.ok(Buffer.from(got[path]).equals(Buffer.from(want[path])), path);
}

/** refused checks that an archive is not read, and for the reason given. */
async function refused(blob, why) {
  await assert.rejects(all(blob), (e) => {
    assert.ok(e instanceof DataError, String(e?.stack));
    assert.match(e.message, why);
    return true;
  });
}

/** patched is an archive of one file whose entry in the list has fields of 16 or 32 bits changed, by their offset. */
function patched(files, { list16 = {}, list32 = {}, local16 = {}, end16 = {}, end32 = {} }, options = {}) {
  const b = zipSync(files, options);
  const d = new DataView(b.buffer, b.byteOffset, b.length);
  const end = b.length - 22;
  const list = d.getUint32(end + 16, true);
  for (const [at, v] of Object.entries(list16)) d.setUint16(list + Number(at), v, true);
  for (const [at, v] of Object.entries(list32)) d.setUint32(list + Number(at), v, true);
  for (const [at, v] of Object.entries(local16)) d.setUint16(Number(at), v, true);
  for (const [at, v] of Object.entries(end16)) d.setUint16(end + Number(at), v, true);
  for (const [at, v] of Object.entries(end32)) d.setUint32(end + Number(at), v, true);
  return new Blob([b]);
}

test("what is packed is read back, compressed or not", async () => {
  const files = { "run/model.safetensors": noise((1 << 20) + 3), "run/config.json": bytes("{}"), "run/empty": bytes(""), "run/same": new Uint8Array(1 << 20), "run/ü.txt": bytes("ü") };
  for (const level of [0, 1, 6]) {
    const blob = new Blob([zipSync(files, { level })]);
    assert.equal(await isZip(blob), true);
    equal(await all(blob), files);
  }
  const blob = await zip(Object.entries(files).map(([path, b]) => ({ path, read: async function* () {
    for (let i = 0; i < b.length; i += 1e6) yield b.slice(i, i + 1e6);
  } })));
  equal(await all(blob), files);
  assert.equal(blob.type, "application/zip");
  assert.equal(await isZip(new Blob([bytes("PK")])), false);
});

test("folders, hidden files and a Mac's notes are left out", async () => {
  const files = { "a/": bytes(""), "a/model.safetensors": bytes("m"), "__MACOSX/a/._model.safetensors": bytes("x"), "a/.DS_Store": bytes("x"), ".git/config": bytes("x"), "./b": bytes("b") };
  assert.deepEqual(await all(new Blob([zipSync(files)])), { "a/model.safetensors": bytes("m"), b: bytes("b") });
});

test("a comment at the end, and bytes after it that look like one", async () => {
  const b = zipSync({ a: bytes("1") });
  const comment = bytes("PK\x05\x06 a comment");
  const whole = new Uint8Array([...b, ...comment]);
  new DataView(whole.buffer).setUint16(b.length - 2, comment.length, true);
  assert.deepEqual(await all(new Blob([whole])), { a: bytes("1") });
});

test("the wide form, of archives that stream", async () => {
  const name = bytes("a");
  const text = bytes("wide");
  const b = zipSync({ a: text }, { level: 0 });
  const local = b.slice(0, 30 + 1 + 4);
  const list = b.slice(local.length, b.length - 22);
  const wide = new Uint8Array(list.length + 28);
  wide.set(list);
  const w = new DataView(wide.buffer);
  w.setUint32(20, 0xffffffff, true);
  w.setUint32(24, 0xffffffff, true);
  w.setUint32(42, 0xffffffff, true);
  w.setUint16(30, 28, true);
  const x = list.length;
  w.setUint16(x, 1, true);
  w.setUint16(x + 2, 24, true);
  w.setBigUint64(x + 4, 4n, true);
  w.setBigUint64(x + 12, 4n, true);
  const end64 = new DataView(new ArrayBuffer(56));
  end64.setUint32(0, 0x06064b50, true);
  end64.setBigUint64(32, 1n, true);
  end64.setBigUint64(40, BigInt(wide.length), true);
  end64.setBigUint64(48, BigInt(local.length), true);
  const locator = new DataView(new ArrayBuffer(20));
  locator.setUint32(0, 0x07064b50, true);
  locator.setBigUint64(8, BigInt(local.length + wide.length), true);
  const end = b.slice(b.length - 22);
  const e = new DataView(end.buffer);
  e.setUint16(10, 0xffff, true);
  e.setUint32(12, 0xffffffff, true);
  e.setUint32(16, 0xffffffff, true);
  const blob = new Blob([local, wide, end64.buffer, locator.buffer, end]);
  assert.deepEqual(await all(blob), { [new TextDecoder().decode(name)]: text });
  // Sizes that no number holds exactly.
  w.setBigUint64(x + 4, 2n ** 63n + 1n, true);
  w.setBigUint64(x + 12, 2n ** 63n + 1n, true);
  await refused(new Blob([local, wide, end64.buffer, locator.buffer, end]), /GiB/);
});

test("paths that lead elsewhere", async () => {
  for (const path of ["../x", "a/../../x", "/x", "C:\\x", "c:x", "a\\..\\..\\x", "a//b", "\\\\host\\x", "a/\u0001", "x".repeat(256), "", "a/ü/../b"]) {
    assert.throws(() => cleanPath(path), DataError, path);
    if (path !== "") await refused(new Blob([zipSync({ [path]: bytes("x") })]), /path/);
  }
  assert.equal(cleanPath("a\\b"), "a/b");
  assert.equal(cleanPath("./a/./b"), "a/b");
  assert.equal(cleanPath("__proto__/x"), "__proto__/x");
  assert.equal(cleanPath("a/.hidden/b"), null);
});

test("names that cannot lie side by side", async () => {
  await refused(new Blob([zipSync({ a: bytes("1"), "./a": bytes("2") })]), /two files a/);
  await refused(new Blob([zipSync({ a: bytes("1"), "a/b": bytes("2") })]), /both a file and a folder/);
  assert.throws(() => checkFiles(Array.from({ length: LIMITS.files + 1 }, (_, i) => ({ path: `f${i}`, size: 0 }))), /2001 files/);
  assert.throws(() => checkFiles([{ path: "a", size: LIMITS.bytes }, { path: "b", size: 1 }]), /GiB/);
  checkFiles([{ path: "a", size: LIMITS.bytes }]);
});

test("too many files", async () => {
  const files = Object.fromEntries(Array.from({ length: LIMITS.files + 1 }, (_, i) => [`f${i}`, bytes("")]));
  await refused(new Blob([zipSync(files)]), /2001 files/);
});

test("bombs", async () => {
  const zeros = new Uint8Array(8 << 20);
  // It says that it is large.
  await refused(patched({ a: zeros }, { list32: { 24: 0x7fffffff } }), /2\.0 GiB/);
  // It says that it is small, and is not: nothing beyond what it said is given out.
  const liar = patched({ a: zeros }, { list32: { 24: 1000 } });
  const [entry] = await listZip(liar);
  let got = 0;
  await assert.rejects(async () => {
    for await (const part of unzip(liar, entry)) got += part.length;
  }, /longer than its list says/);
  assert.ok(got <= 1000);
});

test("damage", async () => {
  const files = { a: noise(100000) };
  const good = zipSync(files, { level: 0 });
  const wrong = good.slice();
  wrong[5000] ^= 1;
  await refused(new Blob([wrong]), /not what was packed/);
  const packed = zipSync({ a: bytes("some text, some text, some text".repeat(1000)) });
  for (let i = 40; i < packed.length - 90; i += 7) {
    const b = packed.slice();
    b[i] ^= 0x55;
    await assert.rejects(all(new Blob([b])), DataError, `byte ${i}`);
  }
  for (const n of [0, 10, 21, 30, 5000, good.length - 23, good.length - 1]) await refused(new Blob([good.slice(0, n)]), /damaged/);
  await refused(patched(files, { list32: { 42: 7 } }), /not where its list says/);
  await refused(patched(files, { list32: { 42: 0xfffffff0 } }), /not where its list says/);
  await refused(patched(files, { list32: { 20: 99 } }, { level: 0 }), /two sizes/);
  await refused(patched(files, { list32: { 20: 2e9, 24: 1e9 } }), /breaks off/);
  await refused(patched(files, { list32: { 24: 100001 } }), /not what was packed/);
  await refused(patched(files, { list16: { 28: 60000 } }), /breaks off/);
  await refused(patched(files, { list16: { 8: 1 } }), /encrypted/);
  await refused(patched(files, { list16: { 10: 99 } }), /method 99/);
  await refused(patched(files, { end16: { 10: 2 } }), /breaks off/);
  await refused(patched(files, { end16: { 10: 60000 } }), /60000 files/);
  await refused(patched(files, { end32: { 12: 0x7fffffff } }), /archive/);
  await refused(patched(files, { end32: { 16: 0xfffffff0 } }), /breaks off/);
  await refused(new Blob([bytes("no archive at all, but text that is long enough to look for an end in")]), /its end is missing/);
});
