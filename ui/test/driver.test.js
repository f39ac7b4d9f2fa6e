// @ts-check
// Which adapters of a browser are processors that play a GPU: gpu/driver.js tells them apart by all that browsers say.
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const driver = (0, eval)(readFileSync(new URL("../../gpu/driver.js", import.meta.url), "utf8"))(4);

/** @param {object} info @param {object} [more] */
async function software(info, more = {}) {
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { gpu: { requestAdapter: async () => ({ info, limits: {}, ...more }) } } });
  const [a] = await driver.adapters();
  return a.software;
}

test("software adapters are known by vendor, architecture, device, description or the browser's word", async () => {
  for (const info of [
    { vendor: "google", architecture: "swiftshader", device: "", description: "" },
    { vendor: "google", architecture: "swiftshader", device: "0xc0de", description: "SwiftShader Device (Subzero)" },
    { vendor: "mesa", architecture: "software", device: "", description: "" },
    { vendor: "mesa", architecture: "", device: "llvmpipe", description: "" },
    { vendor: "", architecture: "", device: "", description: "llvmpipe (LLVM 15.0.6, 256 bits)" },
    { vendor: "", architecture: "", device: "lavapipe", description: "" },
    { vendor: "microsoft", architecture: "warp", device: "0x8c", description: "" },
    { vendor: "microsoft", architecture: "", device: "0x8c", description: "Microsoft Basic Render Driver" },
    { vendor: "x", architecture: "", device: "", description: "", isFallbackAdapter: true },
  ]) assert.equal(await software(info), true, JSON.stringify(info));
  assert.equal(await software({ vendor: "x" }, { isFallbackAdapter: true }), true);
  for (const info of [
    { vendor: "nvidia", architecture: "ampere", device: "", description: "" }, { vendor: "apple", architecture: "metal-3", device: "", description: "", isFallbackAdapter: false },
    { vendor: "intel", architecture: "gen-12lp", device: "", description: "Intel(R) Iris(R) Xe Graphics" }, { vendor: "qualcomm", architecture: "adreno-7xx", device: "", description: "" },
  ]) assert.equal(await software(info), false, JSON.stringify(info));
});
