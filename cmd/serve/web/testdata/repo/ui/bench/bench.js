import assets from "innerloop:assets";

new Worker(assets.worker, { type: "module" });
