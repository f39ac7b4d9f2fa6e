// @ts-check
// A few lines in place of a framework: elements by tag, attributes and children.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * h makes an element. Of attrs, on* are listeners, class and data-* and aria-* attributes, and hidden, disabled, checked,
 * value and the like properties; null and undefined are left out. Children are text unless they are nodes.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {{ [name: string]: any }} [attrs]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attrs = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "role" || name === "for" || name === "list" || name.includes("-")) node.setAttribute(name, String(value));
    else Reflect.set(node, name, value);
  }
  put(node, ...children);
  return node;
}

/**
 * put gives node these children and no others.
 * @param {Element} node
 * @param {...Child} children
 */
export function put(node, ...children) {
  node.replaceChildren(...children.filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
}

/**
 * $ is the page's element with that id, which has to be there.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function $(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`page: no element #${id}`);
  return node;
}

/** @param {string} id */
export const button = (id) => /** @type {HTMLButtonElement} */ ($(id));

/** @param {string} id */
export const input = (id) => /** @type {HTMLInputElement} */ ($(id));

/**
 * icon is one of the page's symbols, #i-NAME.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * help is the small "?" that explains key.
 * @param {string} key
 * @param {string} about what the screen reader calls it
 */
export const help = (key, about) => h("button", { type: "button", class: "help", "data-help": key, "aria-label": `What is ${about}?` }, "?");

/**
 * tabs makes a tab list of buttons with role tab, each of which names its panel by aria-controls. The arrow keys move along.
 * @param {HTMLElement} list
 * @param {(id: string) => void} [chosen] called with the panel's id
 */
export function tabs(list, chosen) {
  const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  /** @param {HTMLElement} tab @param {boolean} focus */
  const choose = (tab, focus) => {
    for (const t of all) {
      t.setAttribute("aria-selected", String(t === tab));
      t.tabIndex = t === tab ? 0 : -1;
      $(t.getAttribute("aria-controls") ?? "").hidden = t !== tab;
    }
    if (focus) tab.focus();
    chosen?.(tab.getAttribute("aria-controls") ?? "");
  };
  for (const [i, tab] of all.entries()) {
    tab.addEventListener("click", () => choose(tab, false));
    tab.addEventListener("keydown", (e) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1 + all.length, Home: 0, End: all.length - 1 }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      choose(all[to % all.length], true);
    });
  }
  list.hidden = all.length < 2;
  return { show: (/** @type {string} */ panel) => choose(/** @type {HTMLElement} */ (all.find((t) => t.getAttribute("aria-controls") === panel)), false) };
}

/**
 * debounced calls fn once, ms after the last of a burst of calls.
 * @template {any[]} A
 * @param {number} ms
 * @param {(...args: A) => void} fn
 */
export function debounced(ms, fn) {
  let timer = 0;
  return (/** @type {A} */ ...args) => {
    clearTimeout(timer);
    timer = /** @type {any} */ (setTimeout(() => fn(...args), ms));
  };
}

/** prefs are the page's memory of how it looks: theme, groups, shortcuts. Nothing of a run depends on it. */
export const prefs = {
  /** @param {string} name */
  get(name) {
    try {
      return localStorage.getItem(`innerloop.${name}`);
    } catch {
      return null; // storage is refused: the page forgets
    }
  },
  /** @param {string} name @param {string | null} value */
  set(name, value) {
    try {
      if (value === null) localStorage.removeItem(`innerloop.${name}`);
      else localStorage.setItem(`innerloop.${name}`, value);
    } catch {
      // as above
    }
  },
};
