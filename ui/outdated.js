// @ts-check
// Is the page that is open still the one that the server has? Its files are named by what is in them: when a new page has
// taken the place of this one, the files of this one are gone.

/** @typedef {"outdated" | "offline" | "incomplete"} Why */

/**
 * whyMissing asks the server for parts of the page, and resolves to why one cannot be had, or null where all can. outdated:
 * the server has another page now. offline: it does not answer. incomplete: it has this page, without that part.
 * @param {string[]} parts their addresses; "" is none
 * @param {string} page the page's own address
 * @param {string} script the page's own script, which its page of now names if it is the same page
 * @param {typeof fetch} [get]
 * @returns {Promise<{ code: Why, message: string } | null>}
 */
export async function whyMissing(parts, page, script, get = fetch) {
  for (const part of parts) {
    if (part === "") continue;
    const name = part.split("/").at(-1) ?? part;
    let answer;
    try {
      answer = await get(part, { method: "HEAD", cache: "no-store" });
    } catch (e) {
      return { code: "offline", message: `${name} cannot be had: the server does not answer (${e instanceof Error ? e.message : e})` };
    }
    // Some servers answer with a page, whatever they are asked for.
    const page404 = answer.ok && /^text\/html\b/i.test(answer.headers.get("Content-Type") ?? "");
    if (answer.ok && !page404) continue;
    if (answer.status !== 404 && answer.status !== 410 && !page404) {
      if (answer.status < 500) continue; // it may not like to be asked in this way
      return { code: "offline", message: `${name} cannot be had: the server answers ${answer.status}` };
    }
    const said = page404 ? "with a page in place of it" : String(answer.status);
    let now = "";
    try {
      now = await (await get(page, { cache: "no-store" })).text();
    } catch {
      // Then it went away in between; what was asked for is gone in any case.
    }
    if (script !== "" && now.includes(script.split("/").at(-1) ?? script)) {
      return { code: "incomplete", message: `${name} is a part of the page, and the server answers ${said}` };
    }
    return { code: "outdated", message: `${name} belongs to the page that is open here, and the server no longer has it: it answers ${said}` };
  }
  return null;
}

/** otherVersion is what is wrong where the worker is of another page than the page. @param {string} page @param {string} worker */
export const otherVersion = (page, worker) =>
  page && worker && page !== worker ? { code: /** @type {const} */ ("outdated"), message: `the page is innerloop ${page}, and its worker ${worker}` } : null;
