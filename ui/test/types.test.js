// The types of the messages are those of the schema, and the client's methods and events have them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { types, typesFile } from "./types.mjs";

test("messages.d.ts is what wasm/messages.schema.json makes (node test/types.mjs)", async () => {
  assert.equal(readFileSync(typesFile, "utf8"), await types());
});

test("the client's types refuse what the schema refuses", () => {
  const at = (path) => fileURLToPath(new URL(path, import.meta.url));
  const tsc = spawnSync(process.execPath, [
    at("../node_modules/typescript/bin/tsc"), "--ignoreConfig", "--noEmit", "--strict", "--checkJs", "--skipLibCheck", "false", "--target", "es2022", "--module", "es2022",
    "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", "--types", "", at("client.types.ts"),
  ], { encoding: "utf8" });
  assert.equal(tsc.status, 0, tsc.stdout + tsc.stderr);
});
