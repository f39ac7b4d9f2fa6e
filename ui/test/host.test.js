// What is between the page and Go, with a Go that is a function.
import assert from "node:assert/strict";
import test from "node:test";
import { FileSystem } from "../fs.js";
import { Host } from "../host.js";
import { MemoryFolder } from "../memory.js";
import { listZip } from "../zip.js";

/** setup has a host whose Go answers each request with answer(request), and what the page got. */
function setup(answer, browser = {}) {
  const files = new FileSystem(new MemoryFolder());
  const sent = [];
  const waiting = [];
  const host = new Host(files, { kind: "memory", problem: "" }, {
    send: (m, transfer) => {
      sent.push(structuredClone(m, { transfer }));
      waiting.splice(0).forEach((f) => f());
    },
    locks: undefined, usage: async () => ({ bytes: 1, quota: 2 }), memory: () => 65536, ...browser,
  });
  const asked = [];
  const go = async (json) => {
    const q = JSON.parse(json);
    asked.push(q);
    const a = await answer(q, files);
    if (a) host.post(JSON.stringify({ id: q.id, ...a.message }), a.columns ?? {});
  };
  const reply = async (id) => {
    for (;;) {
      const m = sent.find((m) => m.id === id);
      if (m) return m;
      await new Promise((f) => waiting.push(f));
    }
  };
  return { host, files, sent, asked, go, reply };
}

test("requests wait for Go, in order", async () => {
  const { host, asked, go, reply } = setup(() => ({ message: { result: {} } }));
  await host.handle({ id: 1, method: "hello", params: { device: "auto" } });
  await host.handle({ id: 2, method: "runs", params: {} });
  assert.deepEqual(asked, []);
  host.receive = go;
  assert.deepEqual(asked, []); // Go is in the middle of saying that it is ready
  await host.handle({ id: 3, method: "runs", params: {} });
  await reply(3);
  await reply(2);
  assert.deepEqual(asked.map((q) => q.id).sort(), [1, 2, 3]);
  assert.deepEqual(asked.find((q) => q.id === 1), { id: 1, method: "hello", params: { device: "auto" } });
  assert.equal(host.memory(), 65536);
});

test("columns become arrays of floats, wherever their bytes lie", async () => {
  const whole = new Uint8Array(new Float64Array([1, NaN, 2.5]).buffer);
  const part = new Uint8Array(100);
  part.set(new Uint8Array(new Float64Array([7]).buffer), 3);
  const { host, sent, go, reply } = setup(() => ({ message: { result: { run: "r", loss: [] } }, columns: { loss: whole, step: part.subarray(3, 11), lr: new Uint8Array() } }));
  host.receive = go;
  await host.handle({ id: 1, method: "metrics", params: { run: "r" } });
  assert.deepEqual((await reply(1)).result, { run: "r", loss: new Float64Array([1, NaN, 2.5]), step: new Float64Array([7]), lr: new Float64Array() });
  host.post(JSON.stringify({ event: "inner", data: { step: 3 } }), { drift: new Uint8Array(new Float64Array([4]).buffer) });
  assert.deepEqual(sent.at(-1), { event: "inner", data: { step: 3, drift: new Float64Array([4]) } });
});

test("an upload is written for Go and removed when Go has answered", async () => {
  for (const message of [{ result: { run: {} } }, { error: { code: "data", message: "no", key: "", step: 0, checkpoint: -1 } }]) {
    const { host, files, go, reply, asked } = setup(async (q, files) => {
      assert.deepEqual(await files.readdir(q.params.dir), ["config.json", "model.safetensors"]);
      return { message };
    });
    host.receive = go;
    await host.handle({ id: 5, method: "import", params: { files: [{ file: new Blob(["m"]), path: "model.safetensors" }, { file: new Blob(["{}"]), path: "config.json" }], name: "n" } });
    assert.deepEqual(await reply(5), { id: 5, ...message });
    assert.deepEqual(Object.keys(asked[0].params), ["dir", "name"]);
    assert.match(asked[0].params.dir, /^\/imports\/[^/]+$/);
    assert.deepEqual(await files.readdir("/imports"), []);
  }
});

test("a download is packed, and packed anew when a checkpoint went meanwhile", async () => {
  let times = 0;
  const { host, go, reply, asked, files } = setup(async (q, files) => {
    times++;
    if (times === 2) await files.close(await files.open("/runs/r/new", 0o101));
    return { message: { result: { dir: "/runs/r", name: "My run", files: ["new"] } } };
  });
  await files.mkdirAll("/runs/r");
  host.receive = go;
  await host.handle({ id: 1, method: "download", params: { run: "r" } });
  const { result } = await reply(1);
  assert.deepEqual((await listZip(result.blob)).map((e) => e.path), ["My run/new"]);
  assert.equal(asked.length, 2);
  assert.equal(host.after.size, 0);

  const never = setup(() => ({ message: { result: { dir: "/runs/r", name: "x", files: ["gone"] } } }));
  never.host.receive = never.go;
  await never.host.handle({ id: 1, method: "download", params: { run: "r" } });
  assert.equal((await never.reply(1)).error.code, "storage");
  assert.equal(never.asked.length, 3);

  const refuses = setup(() => ({ message: { error: { code: "usage", message: "no such run", key: "", step: 0, checkpoint: -1 } } }));
  refuses.host.receive = refuses.go;
  await refuses.host.handle({ id: 1, method: "download", params: { run: "r" } });
  assert.equal((await refuses.reply(1)).error.message, "no such run");
});

test("text and usage are answered without Go", async () => {
  const { host, sent } = setup(() => assert.fail("Go was asked"));
  await host.handle({ id: 1, method: "text", params: { file: new Blob(["abc"]), name: "a.txt" } });
  await host.handle({ id: 2, method: "usage", params: {} });
  await host.handle({ id: 3, method: "text", params: { file: new Blob(["fLaC"]), name: "a.bin" } });
  assert.deepEqual(sent.slice(0, 2), [{ id: 1, result: { path: "/texts/a.txt", bytes: 3, kind: "text", plain: true } }, { id: 2, result: { bytes: 1, quota: 2 } }]);
  assert.match(sent[2].error.message, /^a\.bin begins as a sound of another kind does, FLAC/);
  assert.deepEqual(sent[2], { id: 3, error: { code: "data", message: sent[2].error.message, key: "", step: 0, checkpoint: -1 } });
  await host.handle({ id: 4, method: "texts", params: {} });
  await host.handle({ id: 5, method: "deleteText", params: { path: "/texts/a.txt" } });
  await host.handle({ id: 6, method: "texts" });
  await host.handle({ id: 7, method: "deleteText", params: { path: "/runs/x" } });
  assert.deepEqual(sent.slice(3, 6), [{ id: 4, result: { texts: [{ path: "/texts/a.txt", bytes: 3 }] } }, { id: 5, result: {} }, { id: 6, result: { texts: [] } }]);
  assert.equal(sent[6].error.code, "usage");
});

test("messages that make no sense", async () => {
  const { host, sent, asked, go } = setup(() => null);
  host.receive = go;
  for (const m of [null, undefined, 1, "text", [], {}, { id: 0, method: "text" }, { id: "1", method: "text" }, { id: 1.5 }, { id: 2 ** 60, method: "usage" }]) await host.handle(m);
  assert.deepEqual([sent, asked], [[], []]);
  let id = 0;
  for (const m of [
    { method: "text" }, { method: "text", params: null }, { method: "text", params: { file: "x", name: "y" } }, { method: "text", params: { file: new Blob(["x"]), name: 7 } },
    { method: "import" }, { method: "import", params: { files: "x" } }, { method: "import", params: { files: [null] } }, { method: "import", params: { files: [{ file: {}, path: "x" }] } },
    { method: "import", params: { files: [{ file: new Blob(["x"]), path: 3 }] } },
  ]) {
    await host.handle({ id: ++id, ...m });
    assert.equal(sent.length, id, JSON.stringify(m));
    assert.equal(sent.at(-1).error.code, m.params?.files === undefined && m.method === "import" ? "data" : "usage", JSON.stringify(sent.at(-1)));
  }
});

test("a Go that has ended", async () => {
  const { host, sent } = setup(() => null);
  host.receive = () => { throw new Error("Go program has already exited"); };
  await host.handle({ id: 1, method: "runs", params: {} });
  assert.equal(sent[0].error.code, "internal");
});

/** Locks as the browser has them, shared by all that have the object. */
class Locks {
  held = new Map();

  request(name, { signal }, fn) {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        if (signal.aborted) return;
        if (this.held.has(name)) {
          this.held.get(name).push(attempt);
          return;
        }
        this.held.set(name, []);
        const done = () => {
          const waiting = this.held.get(name);
          this.held.delete(name);
          waiting.forEach((f) => setTimeout(f));
        };
        Promise.resolve(fn({ name })).then((v) => { done(); resolve(v); });
      };
      signal.addEventListener("abort", () => reject(signal.reason));
      setTimeout(attempt);
    });
  }
}

test("locks", async () => {
  const locks = new Locks();
  const [a, b] = [setup(() => null, { locks }).host, setup(() => null, { locks }).host];
  assert.equal(await a.lock("run"), true);
  assert.equal(await a.lock("run"), false);
  assert.equal(await b.lock("other"), true);
  assert.equal(await b.lock("run"), false); // and does not wait for ever
  a.unlock("run");
  a.unlock("run");
  a.unlock("never");
  assert.equal(await a.lock("run"), true); // at once again
  const soon = b.lock("run");
  setTimeout(() => a.unlock("run"), 50);
  assert.equal(await soon, true);
  assert.equal(await setup(() => null).host.lock("run"), true); // a browser without locks
});
