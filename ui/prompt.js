// @ts-check
// What the model writes or plays: samples while it trains, and the text that the person begins.

import { $, button, h, put } from "./dom.js";
import { byteGlyph, count, digits, glyph as visible, percent, plural } from "./format.js";
import { isSound } from "./fields.js";
import { Grouper, probability, tint } from "./tokens.js";
import { createClip, SILENT } from "./sound.js";
import { failure } from "./app.js";
import { draftOf, keepDraft } from "./drafts.js";
import { debounced } from "./dom.js";
import { place } from "./help.js";

/**
 * @typedef {import("./app.js").App} App
 * @typedef {import("./messages.d.ts").TokenEvent["data"]["tokens"][number]} Token
 * @typedef {import("./tokens.js").Glyph} Glyph
 */

/** Samples that stay on the page, and characters of the text, or samples of the sound. */
const SAMPLES = 24;
const LONGEST = 200_000;

/** What the trainer makes at most at once. */
const MOST = 100_000;

/** @param {App} app the open run's values, or else those of the next */
const values = (app) => {
  const run = app.isOpen ? app.run : null;
  return (/** @type {string} */ key) => (run ? run.config[key] : app.settings.get(key));
};
/** @param {App} app */
const rateOf = (app) => Number(values(app)("data.sample_rate") ?? 8000);

/** @param {App} app */
export function createSamples(app) {
  const box = $("samples");
  /** @type {HTMLElement | null} */
  let group = null;
  const hint = () => {
    const prompts = app.settings.get("sample.prompts");
    const first = Array.isArray(prompts) && prompts.length > 0 ? prompts[0] : "";
    const sound = isSound(values(app));
    const own = sound ? "sound appears here: noise at first, then tones." : "words appear here: noise at first, then words, then sentences.";
    put(box, h("p", { class: "empty" }, app.run ? "Samples come while it trains." : `Every few seconds the model's own ${own}`, first && !app.run && !sound ? ` It will go on from “${first}”.` : ""));
    group = null;
  };
  app.client.on("sample", (s) => {
    if (s.run !== app.run?.id) return;
    if (!box.querySelector("article")) put(box);
    if (!group || group.dataset.step !== String(s.step)) {
      group = h("article", { class: "sample new", "data-step": s.step }, h("h3", {}, `step ${count(s.step)}`));
      box.prepend(group);
      while (box.children.length > SAMPLES) box.lastElementChild?.remove();
    }
    if (s.bytes) {
      const clip = createClip(`the sample of step ${count(s.step)}`);
      clip.set(s.bytes, rateOf(app));
      group.append(clip.node);
    } else group.append(h("p", {}, h("span", { class: "given" }, s.prompt), s.text));
  });
  app.on("run", ({ truncate, metrics }) => {
    if (truncate < 0) metrics || hint();
    else for (const a of box.querySelectorAll("article")) if (Number(a.getAttribute("data-step")) > truncate) a.remove();
  });
  app.on("ready", () => box.querySelector("article") || hint());
  app.on("settings", () => app.run || hint());
}

/** @typedef {{ given: { text: string, bytes?: number[], temperature: number, topK: number }, tokens: number, take: (tokens: Token[]) => void, end: () => void }} Way */

/** @param {App} app */
export function createPrompt(app) {
  const box = /** @type {HTMLTextAreaElement} */ ($("prompt"));
  const output = $("output");
  const note = $("continue-note");
  const tip = $("token-tip");
  /** The text so far, and its characters that the model wrote, by the index of their elements. */
  let text = "";
  /** @type {Glyph[]} */
  const glyphs = [];
  /** The sound so far, where the run is one of sound: bytes, and their rate. */
  let sound = { bytes: /** @type {number[]} */ ([]), rate: 0 };
  const clip = createClip("the sound");
  clip.node.hidden = true;
  output.after(clip.node);
  /** What the generation under way reads, and what becomes of its tokens. @type {Way | null} */
  let way = null;
  /** @type {Token[]} */
  let waiting = [];
  let frame = 0;

  const render = () => {
    const able = app.isOpen && app.phase !== "opening" && app.phase !== "failed";
    const plays = isSound(values(app));
    const empty = plays ? sound.bytes.length === 0 : text === "";
    button("continue").disabled = !able || way !== null;
    button("continue").hidden = way !== null;
    button("continue-stop").hidden = way === null;
    box.hidden = plays;
    $("prompt-begin").textContent = plays ? "It plays on from silence" : "You begin, it goes on";
    output.hidden = plays || empty;
    clip.node.hidden = !plays || empty;
    $("legend").hidden = plays || glyphs.length === 0;
    $("clear-text").hidden = empty || way !== null;
    if (!app.isOpen && way === null) put(note, app.phase === "loading" ? "" : "Start or open a run first.");
    else if (app.phase === "failed") put(note, "The run has failed: go on from its checkpoint first.");
    else if (able && /^(Start or open|The run has failed)/.test(note.textContent ?? "")) put(note, "");
    box.placeholder = text === "" ? first() : "Add to it, or just continue.";
  };
  const first = () => {
    const prompts = app.settings.get("sample.prompts");
    return Array.isArray(prompts) && prompts.length > 0 ? prompts[0] : "Once upon a time";
  };

  /** @param {Glyph[]} list */
  const write = (list) => {
    if (list.length === 0) return;
    const low = output.scrollHeight - output.scrollTop - output.clientHeight < 24;
    output.append(...list.map((g) => {
      glyphs.push(g);
      text += g.text;
      return h("span", { class: `tok ${tint(probability(g))}`, "data-i": glyphs.length - 1 }, g.text);
    }));
    if (low) output.scrollTop = output.scrollHeight;
  };
  const flush = () => {
    frame = 0;
    const list = waiting;
    waiting = [];
    if (list.length > 0) way?.take(list);
  };

  const number = (/** @type {string} */ key) => Number(app.now(key));
  /** full says that there is no room for more. @param {string} what */
  const full = (what) => {
    put(note, `The ${what} is at its end: ${count(LONGEST)} ${what === "text" ? "characters" : "samples"}. Clear it to go on.`);
    return null;
  };
  /** @returns {Way | null} */
  const beginText = () => {
    const given = box.value || (text === "" ? first() : "");
    if (text.length + given.length > LONGEST) return full("text");
    if (given) output.append(h("span", { class: "given" }, given));
    text += given;
    box.value = "";
    const grouper = new Grouper();
    return { given: { text, temperature: number("sample.temperature"), topK: number("sample.top_k") }, tokens: number("sample.tokens"), take: (tokens) => write(tokens.flatMap((t) => grouper.add(t))), end: () => write(grouper.end()) };
  };
  /** @returns {Way | null} */
  const beginSound = () => {
    const rate = rateOf(app);
    if (sound.rate !== rate) sound = { bytes: [], rate };
    const mine = sound; // another run's may come in between
    if (mine.bytes.length >= LONGEST) return full("sound");
    clip.stop();
    const take = (/** @type {Token[]} */ tokens) => {
      for (const t of tokens) mine.bytes.push(t.byte);
      clip.set(mine.bytes, rate);
      clip.node.hidden = false;
    };
    return { given: { text: "", bytes: [...SILENT, ...mine.bytes], temperature: number("sample.sound_temperature"), topK: 0 }, tokens: Math.round(number("sample.seconds") * rate), take, end: () => {} };
  };

  const go = async () => {
    if (button("continue").disabled) return;
    way = isSound(values(app)) ? beginSound() : beginText();
    if (!way) return;
    render();
    output.scrollTop = output.scrollHeight;
    put(note, "Reading…");
    try {
      const r = await app.client.request("generate", {
        ...way.given, tokens: Math.min(MOST, Math.max(1, way.tokens)), seed: Math.floor(Math.random() * 2 ** 31),
      });
      const rate = r.seconds > 0 ? `, ${digits(r.tokens / r.seconds)} tokens/s` : "";
      put(note, `${plural(r.read, "new token")} read, ${count(r.kept)} from the inner state; ${count(r.tokens)} written${rate}${r.cancelled ? ", stopped" : ""}.`);
    } catch (e) {
      put(note, failure(e).message);
    } finally {
      flush();
      way.end();
      way = null;
      keep();
      const stop = button("continue-stop") === document.activeElement;
      render();
      if (stop) button("continue").focus();
    }
  };
  const stop = () => {
    if (way) void app.client.request("cancel", {}).catch(() => {});
  };

  app.client.on("token", ({ tokens }) => {
    if (!way) return;
    if (note.textContent === "Reading…") put(note, isSound(values(app)) ? "Playing…" : "Writing…");
    waiting.push(...tokens);
    frame ||= requestAnimationFrame(flush);
  });
  button("continue").addEventListener("click", () => void go());
  button("continue-stop").addEventListener("click", stop);
  button("clear-text").addEventListener("click", () => {
    if (!clip.node.hidden) {
      clip.stop();
      sound = { bytes: [], rate: 0 };
      put(note, "");
      render();
      button("continue").focus();
      return;
    }
    text = "";
    glyphs.length = 0;
    put(output);
    put(note, "");
    hide();
    keep();
    render();
    box.focus();
  });
  box.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      void go();
    }
  });
  for (const topic of /** @type {const} */ (["change", "ready", "settings"])) app.on(topic, render);

  // The text stays with its run.
  const keep = () => {
    if (app.run && (text || box.value || draftOf(app.run.id))) keepDraft(app.run.id, { text, draft: box.value });
  };
  box.addEventListener("input", debounced(500, keep));
  addEventListener("pagehide", keep);
  document.addEventListener("visibilitychange", () => document.hidden && keep());
  app.on("run", () => {
    const draft = app.run && text === "" && box.value === "" ? draftOf(app.run.id) : null;
    if (!draft) return;
    box.value = draft.draft;
    text = draft.text;
    if (text) put(output, h("span", { class: "given" }, text));
    render();
  });

  // A character's probabilities: under the pointer, or under the arrow keys.
  /** @type {HTMLElement | null} */
  let current = null;
  const hide = () => {
    current?.classList.remove("current");
    current = null;
    tip.hidden = true;
  };
  /** @param {HTMLElement} span */
  const show = (span) => {
    const g = glyphs[Number(span.dataset.i)];
    if (!g) return;
    if (current !== span) {
      current?.classList.remove("current");
      current = span;
      span.classList.add("current");
    }
    put(tip, ...explain(g));
    tip.hidden = false;
    place(tip, span.getBoundingClientRect());
  };
  output.addEventListener("pointerover", (e) => {
    const span = e.target instanceof Element ? e.target.closest(".tok") : null;
    if (span instanceof HTMLElement) show(span);
    else hide();
  });
  output.addEventListener("pointerleave", hide);
  output.addEventListener("blur", hide);
  output.addEventListener("scroll", () => tip.hidden || (current && place(tip, current.getBoundingClientRect())));
  output.addEventListener("keydown", (e) => {
    const all = /** @type {NodeListOf<HTMLElement>} */ (output.querySelectorAll(".tok"));
    const at = current ? Number(current.dataset.i) : -1;
    const to = { ArrowRight: at + 1, ArrowDown: at + 10, ArrowLeft: at < 0 ? all.length - 1 : at - 1, ArrowUp: at - 10, Home: 0, End: all.length - 1 }[e.key];
    if (e.key === "Escape") hide();
    if (to === undefined || all.length === 0) return;
    e.preventDefault();
    const span = all[Math.min(all.length - 1, Math.max(0, to))];
    span.scrollIntoView({ block: "nearest" });
    show(span);
    put($("live"), spoken(glyphs[Number(span.dataset.i)]));
  });

  return { start: () => void go(), stop };
}

/** @param {Glyph} g */
function explain(g) {
  const several = g.tokens.length > 1;
  return g.tokens.flatMap((t, i) => [
    h("p", { class: "head" }, h("b", {}, several ? `${g.text} byte ${i + 1} of ${g.tokens.length}, 0x${t.byte.toString(16)}` : visible(g.text)), " ", percent(t.p)),
    ...(several && i > 0 ? [] : bars(t)),
  ]);
}

/** @param {Token} t */
function bars(t) {
  return t.top.slice(0, 5).map((x) => {
    const bar = h("span", { class: "bar" });
    bar.style.width = `${Math.max(1, 100 * x.p)}%`;
    return h("p", { class: x.byte === t.byte ? "row chosen" : "row" }, h("span", { class: "byte" }, byteGlyph(x.byte)), h("span", { class: "track" }, bar), h("span", {}, percent(x.p)));
  });
}

/** @param {Glyph} g what a screen reader says */
const spoken = (g) => `${visible(g.text)}, ${percent(probability(g))}. Likeliest: ${g.tokens[0].top.slice(0, 5).map((x) => `${byteGlyph(x.byte)} ${percent(x.p)}`).join(", ")}.`;
