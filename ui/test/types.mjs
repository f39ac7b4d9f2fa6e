// messages.d.ts is made of wasm/messages.schema.json: node test/types.mjs writes it, types.test.js holds it to that.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

/** The schema, and where its types are. */
export const schema = JSON.parse(readFileSync(new URL("../../wasm/messages.schema.json", import.meta.url), "utf8"));
export const typesFile = new URL("../messages.d.ts", import.meta.url);

/** plainRefs drops what is said beside references, each of which would become a type of its own. */
function plainRefs(node) {
  if (typeof node !== "object" || node === null) return;
  if ("$ref" in node) delete node.description;
  Object.values(node).forEach(plainRefs);
}

/** types resolves to the text of messages.d.ts. */
export async function types() {
  const s = structuredClone(schema);
  s.$defs.Column = { description: "Of numbers; JSON would write an array.", tsType: "Float64Array" };
  delete s.$defs.Reply.oneOf; // that there is either a result or an error, which types say badly
  plainRefs(s);
  return compile(s, "Message", {
    bannerComment: "// Made of wasm/messages.schema.json by node test/types.mjs: do not edit.", additionalProperties: false, style: { printWidth: 160 },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(typesFile, await types());
