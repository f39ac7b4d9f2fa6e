// @ts-check
// What trains: its name in the status line, and the dialog that chooses it.

import { $, button, h, put } from "./dom.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {"auto" | "gpu" | "cpu"} Choice */

/**
 * createDevice keeps the status and the dialog.
 * @param {App} app
 */
export function createDevice(app) {
  const dialog = /** @type {HTMLDialogElement} */ ($("device-dialog"));
  const list = $("device-choices");
  let shown = "";

  const render = () => {
    const d = app.hello?.device;
    if (!d) return;
    const go = d.backend === "go";
    change.disabled = app.phase === "loading" || app.phase === "opening" || app.phase === "broken";
    if (shown === `${d.name} ${d.backend}`) return; // the button keeps the focus
    shown = `${d.name} ${d.backend}`;
    put($("status-device"), h("span", { class: "ellipsis", title: d.name }, d.name), go ? h("span", { class: "badge", title: "Pure Go: no GPU takes part" }, "no GPU") : d.software ? h("span", { class: "badge", title: "A software adapter: a processor plays the GPU, slowly" }, "software") : null, change);
  };
  const change = h("button", { type: "button", id: "device-change", class: "link", "aria-haspopup": "dialog", "aria-label": "Change what trains", onclick: () => ask() }, "Change");

  const ask = () => {
    const d = app.hello?.device;
    if (!d) return;
    const found = d.problem === "software" ? d.message.replace(/^.*there are: /, "").replace(/\bgpu:\d+ |, webgpu, cpu/g, "") : d.backend === "go" ? "" : d.name;
    const software = d.problem === "software" || (d.backend !== "go" && d.software);
    /** @type {[Choice, string, string][]} */
    const choices = [
      ["auto", "Automatic", "A GPU where the browser offers one, and else pure Go. Never a software adapter."],
      ["gpu", software ? "The software adapter" : "The GPU", software ? `${found}: a processor plays the GPU. It takes longer to start, and is slower than pure Go or no faster.` : `${found ? `${found}. ` : ""}Where there is only a software adapter, a processor that plays the GPU, it is taken too, though it is slower.`],
      ["cpu", "Pure Go", "The processor alone, without a GPU: it works everywhere."],
    ];
    put(list, h("legend", { class: "for-readers" }, "What trains"), ...choices.map(([value, title, about]) => h("label", { class: "choice" }, h("input", { type: "radio", name: "device", value, checked: d.asked === value }), h("span", {}, h("b", {}, title), " ", h("small", {}, about)))));
    $("device-run").hidden = !app.isOpen;
    dialog.returnValue = "";
    dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    const chosen = /** @type {HTMLInputElement | null} */ (list.querySelector("input:checked"))?.value;
    if (dialog.returnValue !== "ok" || !chosen || chosen === app.hello?.device.asked) return;
    void app.useDevice(/** @type {Choice} */ (chosen)).then(() => button("device-change").focus());
  });
  for (const topic of /** @type {const} */ (["ready", "device", "change"])) app.on(topic, render);
}
