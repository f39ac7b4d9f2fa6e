// @ts-check
// The texts of the prompt box, by run: what a person wrote and the model went on with is there again after a refresh. They
// lie where writing is done at once, since a page that goes has no time to wait for a worker.

/** @typedef {{ text: string, draft: string }} Draft what was read and written, and what stands in the box */

const NAME = "innerloop.drafts";
/** Runs whose texts are kept. */
const MOST = 8;
/** Characters of all of them together: browsers keep some millions. */
const ROOM = 800_000;

/** @param {Storage | undefined} store @returns {[run: string, draft: Draft][]} the newest last */
function read(store) {
  try {
    const list = JSON.parse(store?.getItem(NAME) ?? "[]");
    return Array.isArray(list) ? list.filter((x) => Array.isArray(x) && typeof x[0] === "string" && typeof x[1]?.text === "string" && typeof x[1]?.draft === "string") : [];
  } catch {
    return []; // refused, or of another program
  }
}

/** @returns {Storage | undefined} */
function local() {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}

/** draftOf is the text of a run, or null. @param {string} run @param {Storage | undefined} [store] */
export const draftOf = (run, store = local()) => read(store).find(([id]) => id === run)?.[1] ?? null;

/** keepDraft keeps the text of a run; an empty one, or null, forgets it. @param {string} run @param {Draft | null} draft @param {Storage | undefined} [store] */
export function keepDraft(run, draft, store = local()) {
  const list = read(store).filter(([id]) => id !== run);
  if (draft && (draft.text || draft.draft)) list.push([run, draft]);
  const size = () => list.reduce((n, [, d]) => n + d.text.length + d.draft.length, 0);
  while (list.length > MOST || (list.length > 1 && size() > ROOM)) list.shift();
  try {
    store?.setItem(NAME, JSON.stringify(list));
  } catch {
    // no room, or refused: the text is lost with the page
  }
}
