// @ts-check
// What the layers' numbers say against a run, whatever its losses do: a headline must not praise a model whose normaliser is
// wrong, nor advise a learning rate where a fault is in.
import { BREACHES, breaches, brief } from "./norms.js";

/** @typedef {import("./norms.js").NormsData} NormsData */

/** Part of a head's rows with a gain above 100 from which it is no accident. */
const MANY = 0.01;

/**
 * trouble is a tone, a word and what they rest on; null: the numbers are as they should be, as far as they are seen.
 * @param {string} fault that is in the run, or ""
 * @param {NormsData | null} d what the normalisers did in the last step; null: nothing is known, or there are none
 * @returns {{ tone: "flat" | "bad", word: string, why: string } | null}
 */
export function trouble(fault, d) {
  const broken = d ? broke(d) : "";
  if (broken) {
    return { tone: "bad", word: fault ? "A fault is in" : "Numbers are wrong", why: `${broken}. ${fault ? `That is the fault ${fault}, which was put in; the Numerics tab takes it out.` : "The diagnosis on the Numerics tab looks for the cause."}` };
  }
  const high = d ? worst(d, (i) => d.highGain[i]) : 0;
  const gain = high > MANY ? `In ${brief(100 * high)} % of a head's rows gradients are multiplied by more than 100` : "";
  if (fault) return { tone: "flat", word: "A fault is in", why: `${gain ? `${gain}. ` : ""}The fault ${fault} was put in: what the losses say is of such a layer.` };
  return gain ? { tone: "flat", word: "Gradients are amplified", why: `${gain}: the diagnosis on the Numerics tab looks for the cause.` } : null;
}

/** broke says what the worst head breaks, or "". @param {NormsData} d */
function broke(d) {
  const seen = new Set(Array.from({ length: d.layers.length * d.heads }, (_, i) => breaches(d, i)).flat());
  const z = worst(d, (i) => d.maxZ[i] / d.bound);
  const times = z < 10 ? z.toFixed(1) : z < 1e4 ? String(Math.round(z)) : brief(z);
  const all = BREACHES.filter((b) => seen.has(b)).map((b) => (b === BREACHES[0] && z > 1 && z < Infinity ? `|z| is ${times} times its bound` : b.what)).join(", and ");
  return all.charAt(0).toUpperCase() + all.slice(1);
}

/** @param {NormsData} d @param {(i: number) => number} of */
function worst(d, of) {
  let most = 0;
  for (let i = 0; i < d.layers.length * d.heads; i++) most = Math.max(most, of(i) || 0); // no number is told by itself
  return most;
}
