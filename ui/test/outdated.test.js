// What the server says of the page that is open: it has another one, it lacks a part, it is away.
import assert from "node:assert/strict";
import test from "node:test";
import { otherVersion, whyMissing } from "../outdated.js";
import { failure } from "../app.js";
import { meaning } from "../panels.js";

/** server answers with a status, or a body; null: it is away. @param {{ [path: string]: number | string | null }} files */
const server = (files) => async (/** @type {any} */ url) => {
  const f = files[new URL(url, "http://x/").pathname] ?? 404;
  if (files["*"] === null) throw new TypeError("Failed to fetch");
  return typeof f === "number" ? new Response("", { status: f }) : new Response(f, { headers: { "Content-Type": f.startsWith("<") ? "text/html; charset=utf-8" : "text/javascript" } });
};
const parts = ["http://x/assets/worker-A.js", "", "http://x/assets/innerloop-A.wasm"];
const ask = (/** @type {any} */ files) => whyMissing(parts, "http://x/", "http://x/assets/main-A.js", /** @type {any} */ (server(files)));
const ours = "<script src=./assets/main-A.js>";
const theirs = "<script src=./assets/main-B.js>";

test("a page that is whole, whatever else is wrong", async () => {
  assert.equal(await ask({ "/": ours, "/assets/worker-A.js": "x", "/assets/innerloop-A.wasm": "x" }), null);
  assert.equal(await ask({ "/": ours, "/assets/worker-A.js": 405, "/assets/innerloop-A.wasm": 403 }), null); // a server that takes no HEAD
});

test("files of before are gone: the page was updated", async () => {
  for (const gone of [404, 410, "<html>any path has a page"]) {
    for (const files of [{ "/assets/worker-A.js": gone, "/assets/innerloop-A.wasm": gone }, { "/assets/worker-A.js": "x", "/assets/innerloop-A.wasm": gone }]) {
      const why = await ask({ "/": theirs, ...files });
      assert.equal(why?.code, "outdated");
      assert.match(why?.message ?? "", /^(worker-A\.js|innerloop-A\.wasm) belongs to the page that is open here, and the server no longer has it: it answers (404|410|with a page in place of it)$/);
      assert.equal((await ask({ "/": ours, ...files }))?.code, "incomplete");
    }
  }
  assert.equal((await ask({ "/": 404, "/assets/worker-A.js": 404 }))?.code, "outdated");
});

test("a server that is away", async () => {
  assert.match((await ask({ "*": null }))?.message ?? "", /^worker-A\.js cannot be had: the server does not answer \(Failed to fetch\)$/);
  assert.deepEqual(await ask({ "/assets/worker-A.js": 503 }), { code: "offline", message: "worker-A.js cannot be had: the server answers 503" });
});

test("a worker of another page", () => {
  assert.equal(otherVersion("v1", "v2")?.code, "outdated");
  for (const [page, worker] of [["v1", "v1"], ["", "v2"], ["v1", ""]]) assert.equal(otherVersion(page, worker), null);
});

test("none of these is called a fault of Innerloop", () => {
  for (const [code, what] of /** @type {const} */ ([["outdated", "The page was updated"], ["incomplete", "The server lacks a part of the page"], ["offline", "The server cannot be reached"]])) {
    const f = failure({ code, message: "m" });
    assert.equal(f.code, code);
    const kind = meaning(f);
    assert.equal(kind.what, what);
    assert.doesNotMatch(kind.advice, /fault/);
  }
  assert.match(meaning(failure(new Error("x"))).advice, /a fault of Innerloop/);
});
