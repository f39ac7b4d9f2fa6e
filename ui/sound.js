// @ts-check
// Sound: bytes that are 8-bit mu-law samples, drawn as a wave and played.

import { h, icon, put } from "./dom.js";
import { duration } from "./format.js";

/** The byte of a silent sample. */
const SILENCE = 128;

/** What a model of sound hears where it begins with nothing. @type {readonly number[]} */
export const SILENT = Array(128).fill(SILENCE);

const MU = 255;

/** The samples, -1 to 1, of the 256 bytes: sign(y) ((1 + mu)^|y| - 1) / mu, y the byte's place between the ends (G.711). */
export const SAMPLES = Float32Array.from({ length: 256 }, (_, i) => {
  const y = Math.max(-1, Math.min(1, (i - SILENCE) / 127.5));
  return (Math.sign(y) * Math.expm1(Math.abs(y) * Math.log1p(MU))) / MU;
});

/** The lowest rate that every browser plays. */
const LOWEST = 8000;

/**
 * fill makes samples of bytes that a browser plays: at rates below 8,000 with as many more in a straight line between two.
 * @param {readonly number[]} bytes
 * @param {number} rate samples a second
 */
export function fill(bytes, rate) {
  const times = Math.max(1, Math.ceil(LOWEST / rate));
  const samples = new Float32Array(bytes.length * times);
  for (let i = 0; i < bytes.length; i++) {
    const a = SAMPLES[bytes[i]];
    const b = SAMPLES[bytes[Math.min(i + 1, bytes.length - 1)]];
    for (let k = 0; k < times; k++) samples[i * times + k] = a + ((b - a) * k) / times;
  }
  return { samples, rate: rate * times };
}

/** Columns of a drawing. */
const COLUMNS = 240;

/**
 * wave is the outline of bytes as an SVG path in a box of columns x 200: from the least to the greatest of each column.
 * @param {readonly number[]} bytes
 * @param {number} [columns]
 */
export function wave(bytes, columns = COLUMNS) {
  const parts = [];
  const n = Math.min(columns, bytes.length);
  let last = n > 0 ? SAMPLES[bytes[0]] : 0; // of the column before: the strokes meet
  for (let x = 0; x < n; x++) {
    let lo = last;
    let hi = last;
    for (let i = Math.floor((x * bytes.length) / n); i < Math.floor(((x + 1) * bytes.length) / n); i++) {
      lo = Math.min(lo, SAMPLES[bytes[i]]);
      hi = Math.max(hi, SAMPLES[bytes[i]]);
      last = SAMPLES[bytes[i]];
    }
    const at = ((x + 0.5) * columns) / n;
    // A stroke of no length is not drawn everywhere.
    parts.push(`M${round(at)} ${round(100 - 98 * hi - 0.5)}V${round(100 - 98 * lo + 0.5)}`);
  }
  return parts.join("");
}

/** @param {number} x */
const round = (x) => Math.round(10 * x) / 10;

/** lasting is how long a sound is, as the command line has it: 25 ms, 12.3 s, 3 min 05 s. @param {number} s seconds */
export const lasting = (s) => (s < 0.9995 ? `${Math.round(1000 * s)} ms` : s < 59.95 ? `${s.toFixed(1)} s` : duration(s));

/** @type {AudioContext | null} */
let context = null;
/** Ends what is being heard. @type {() => void} */
let hush = () => {};

/**
 * createClip is a sound that can be seen and heard: a button, its wave, its length.
 * @param {string} label what a screen reader calls it
 */
export function createClip(label) {
  /** @type {readonly number[]} */
  let bytes = [];
  let rate = LOWEST;
  let stop = /** @type {(() => void) | null} */ (null);

  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  const path = document.createElementNS(ns, "path");
  svg.setAttribute("viewBox", `0 0 ${COLUMNS} 200`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  path.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(path);
  const cursor = h("span", { class: "cursor", hidden: true });
  const length = h("span", { class: "length" });
  const button = h("button", { type: "button", class: "small play", onclick: () => (stop ? stop() : play()) });
  const node = h("div", { class: "clip" }, button, h("div", { class: "wave" }, svg, cursor), length);

  const render = () => {
    put(button, icon(stop ? "stop" : "play"), stop ? "Stop" : "Play");
    button.setAttribute("aria-label", `${stop ? "Stop" : "Play"} ${label}`);
    button.disabled = bytes.length === 0;
  };
  const play = () => {
    hush();
    context ??= new AudioContext();
    const heard = fill(bytes, rate);
    const buffer = context.createBuffer(1, heard.samples.length, heard.rate);
    buffer.copyToChannel(heard.samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    let frame = 0;
    const from = context.currentTime;
    const move = () => {
      frame = requestAnimationFrame(move);
      cursor.style.left = `${100 * Math.min(1, ((context?.currentTime ?? 0) - from) / buffer.duration)}%`;
    };
    const end = () => {
      cancelAnimationFrame(frame);
      source.onended = null;
      source.stop();
      source.disconnect();
      stop = null;
      hush = () => {};
      cursor.hidden = true;
      render();
    };
    source.onended = end;
    stop = hush = end;
    cursor.hidden = false;
    void context.resume(); // it sleeps until a person has touched the page
    source.start();
    move();
    render();
  };
  render();

  return {
    node,
    /** set shows other bytes. @param {readonly number[]} b @param {number} r samples a second */
    set(b, r) {
      bytes = b;
      rate = r;
      path.setAttribute("d", wave(bytes));
      const long = lasting(bytes.length / rate);
      put(length, long);
      svg.setAttribute("aria-label", `The wave of ${label}, ${long}`);
      button.disabled = bytes.length === 0;
    },
    /** stop ends it if it is being heard. */
    stop: () => stop?.(),
  };
}
