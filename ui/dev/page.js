// @ts-check
// The shipped page's body over the made-up trainer.

import { FakeClient } from "./fake-client.js";

const page = new DOMParser().parseFromString(await (await fetch("index.html")).text(), "text/html");
document.body.replaceWith(document.adoptNode(page.body));
const { startPage } = await import("../page.js");
const query = new URLSearchParams(location.search);
if (query.get("theme")) document.documentElement.dataset.theme = query.get("theme") ?? "";
const app = startPage(/** @type {any} */ (new FakeClient()), { worker: "", wasm: "", wasmBytes: 0, texts: { opticks: query.has("no-opticks") ? "" : "index.html" } });
Object.assign(globalThis, { app });
