// @ts-check
// The page's views over its state.

import { App } from "./app.js";
import { benchRedraw, createCharts } from "./charts.js";
import { createInner } from "./inner.js";
import { createControls, createTheme } from "./controls.js";
import { createDevice } from "./device.js";
import { createFailure, createNotices } from "./panels.js";
import { createFiles } from "./files.js";
import { createHeadline } from "./headline.js";
import { createHelp } from "./help.js";
import { createNumerics } from "./numerics.js";
import { createPrompt, createSamples } from "./prompt.js";
import { createRail } from "./rail.js";
import { createRuns } from "./runs.js";
import { marks } from "./changes.js";
import { $, prefs, tabs } from "./dom.js";

/** A run that has made no step. */
const NONE = { step: [], loss: [], gradNorm: [], lr: [], tokensPerSecond: [], valStep: [], valLoss: [] };

/**
 * startPage brings the page to life.
 * @param {import("./client.js").Client} client
 * @param {typeof import("innerloop:assets").default} assets
 */
export function startPage(client, assets) {
  const app = new App(client, assets);
  const charts = createCharts($("charts"));
  charts.slot.id = "inner";
  const inner = createInner(charts.slot);
  const numerics = createNumerics(app, $("numerics"));
  createTheme(() => {
    charts.retheme();
    inner.retheme();
    numerics.retheme();
  });
  createHelp();
  createNotices(app);
  const rail = createRail(app);
  createSamples(app);
  const prompt = createPrompt(app);
  createRuns(app, charts);
  createFiles(app);
  createFailure(app, rail);
  createHeadline(app);
  createControls(app, rail, prompt);
  createDevice(app);
  tabs($("views"));
  tabs($("side-tabs"), (panel) => panel === "runs-panel" && void app.list());

  app.on("run", ({ truncate, metrics }) => {
    if (truncate >= 0) charts.truncate(truncate);
    else if (!app.run) {
      charts.clear();
      inner.clear();
    } else {
      charts.load({ id: app.run.id, name: app.run.name }, metrics ?? { run: app.run.id, ...NONE });
      if (!metrics) inner.clear();
    }
  });
  client.on("steps", (d) => d.run === app.run?.id && charts.append(d));
  client.on("eval", (d) => d.run === app.run?.id && charts.eval(d));
  client.on("inner", (d) => d.run === app.run?.id && inner.update(d));
  charts.smoothed = (alpha) => app.smooth(alpha);
  app.on("change", () => {
    if (app.run) charts.rename({ id: app.run.id, name: app.run.name });
    charts.mark(app.run ? marks(app.run.changes) : []);
  });

  const query = new URLSearchParams(location.search);
  const device = query.get("device") ?? prefs.get("device");
  if (query.has("debug")) Object.assign(globalThis, { innerloopPage: { client, charts, benchRedraw } });
  void app.boot(device === "cpu" || device === "gpu" ? device : "auto");
  return app;
}
