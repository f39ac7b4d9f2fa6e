// @ts-check
// What kind of model a configuration is, in words.

import { parameters } from "./format.js";

/** @typedef {(key: string) => import("./fields.js").Value | undefined} Get */

/**
 * tttLayers is the number of blocks that have a TTT layer, as the trainer reads model.layers; NaN where it would refuse that.
 * @param {Get} get
 */
export function tttLayers(get) {
  const n = Number(get("model.num_hidden_layers") ?? 0);
  if ((get("model.block") ?? "ttt") !== "hybrid") return n;
  const layers = String(get("model.layers") ?? "all");
  if (layers === "all") return n;
  if (layers === "none") return 0;
  if (layers === "middle") return Math.min(n, Math.max(1, Math.floor(n / 3)));
  const named = new Set(layers.split(",").map((s) => (/^\s*\+?\d+\s*$/.test(s) ? Number(s) : NaN)));
  return [...named].every((i) => i < n) ? named.size : NaN;
}

/**
 * kind is what a model is called: a TTT-Linear model, a hybrid of attention and TTT, or attention alone.
 * @param {Get} get @param {number} [n] parameters
 */
export function kind(get, n) {
  const of = n ? ` of ${parameters(n)} parameters` : "";
  const name = get("model.ttt_layer_type") === "mlp" ? "TTT-MLP" : "TTT-Linear";
  if (get("model.block") !== "hybrid") return `a ${name} model${of}`;
  const blocks = Number(get("model.num_hidden_layers") ?? 0);
  const on = tttLayers(get);
  if (on === 0) return `an attention-only baseline${of}`;
  return `a hybrid model${of} (attention, ${name} in ${Number.isNaN(on) ? "some of" : on === blocks ? "all" : `${on} of`} ${blocks} layers)`;
}
