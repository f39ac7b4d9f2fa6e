// @ts-check
// The page: it starts the contenders, each in a worker of its own, and hands on what the command calls.

/** @type {Map<string, { worker: Worker, ready: Promise<void> }>} */
const contenders = new Map();
/** @type {Map<number, { resolve: (value: unknown) => void, reject: (e: Error) => void }>} */
const waiting = new Map();
let next = 0;

/** start starts a contender's worker. @param {string} name */
const start = (name) => {
  const worker = new Worker(`/${name}.js`, { type: "module", name });
  const ready = new Promise((resolve, reject) => {
    worker.onmessage = ({ data: { ready, id, value, error } }) => {
      if (ready) return resolve(undefined);
      const w = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) w?.resolve(value);
      else w?.reject(new Error(`${name}: ${error}`));
    };
    worker.onerror = (e) => reject(new Error(`${name}: ${e.message}`));
  });
  const contender = { worker, ready };
  contenders.set(name, contender);
  return contender;
};

/**
 * call calls a method of a contender.
 * @param {string} name
 * @param {string} method
 * @param {unknown[]} args
 */
const call = async (name, method, ...args) => {
  const { worker, ready } = contenders.get(name) ?? start(name);
  await ready;
  const id = next++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, method, args });
  });
};

Object.assign(globalThis, { call });
