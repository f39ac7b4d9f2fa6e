// @ts-check
// Where runs are kept: the browser's private file system, or memory where it has none for this page.

import { nameOf, unique } from "./handles.js";
import { MemoryFolder } from "./memory.js";

/** @typedef {import("./host.js").Storage} Storage */

/**
 * openStorage resolves to the folder that holds all files. It is written to once: browsers that offer a folder may still
 * refuse its files.
 * @param {StorageManager | undefined} manager
 * @returns {Promise<{ root: any, storage: Storage }>}
 */
export async function openStorage(manager) {
  try {
    if (!manager?.getDirectory) throw new Error("this browser has no private file system");
    const root = await manager.getDirectory();
    try {
      await probe(root);
    } catch (e) {
      if (nameOf(e) !== "QuotaExceededError") throw e;
      // What is kept can be read, and deleted.
      return { root, storage: { kind: "opfs", problem: "The browser's storage is full: nothing more can be kept until runs are deleted or this device has more room." } };
    }
    return { root, storage: { kind: "opfs", problem: "" } };
  } catch (e) {
    const why = e instanceof Error || e instanceof DOMException ? e.message || e.name : String(e);
    return { root: new MemoryFolder(), storage: { kind: "memory", problem: `Runs are lost when this tab is closed: the browser keeps no files for it (${why}).` } };
  }
}

/** probe writes a file, reads it and removes it. @param {any} root */
async function probe(root) {
  const name = `.probe-${unique()}`;
  const file = await root.getFileHandle(name, { create: true });
  try {
    const access = await file.createSyncAccessHandle();
    try {
      const bytes = crypto.getRandomValues(new Uint8Array(64));
      const back = new Uint8Array(64);
      const n = access.write(bytes, { at: 0 });
      await access.flush();
      if (n !== 64 || access.read(back, { at: 0 }) !== 64 || back.some((v, i) => v !== bytes[i])) throw new Error("what is written is not kept");
    } finally {
      await access.close();
    }
  } finally {
    await root.removeEntry(name);
  }
}

/**
 * usage resolves to the bytes that are kept and those that may be; 0: not known.
 * @param {any} root
 * @param {Storage} storage
 * @param {StorageManager | undefined} manager
 * @returns {Promise<{ bytes: number, quota: number }>}
 */
export async function usage(root, storage, manager) {
  if (storage.kind === "memory") return { bytes: root.used(), quota: 0 };
  const { usage: bytes = 0, quota = 0 } = (await manager?.estimate?.()) ?? {};
  return { bytes, quota };
}
