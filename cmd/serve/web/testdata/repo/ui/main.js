import assets from "innerloop:assets";

const violations = [];
addEventListener("securitypolicyviolation", (e) => violations.push(`${e.violatedDirective} ${e.blockedURI}`));
const said = [];
const w = new Worker(assets.worker, { type: "module" });
w.onerror = (e) => said.push(`error: ${e.message}`);
w.onmessage = async (e) => {
  said.push(e.data);
  const { late } = await import("./late.js");
  said.push(late);
  const { texts, wasmBytes } = assets;
  const text = texts.opticks ? await (await fetch(texts.opticks)).text() : "";
  globalThis.outcome = {
    said, violations, wasmBytes, text: text.length, isolated: crossOriginIsolated, color: getComputedStyle(document.body).color,
  };
};
