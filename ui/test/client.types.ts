// What compiles and what does not: types.test.js has tsc check it. Each @ts-expect-error fails where there is no error.
import { Client } from "../client.js";

export async function uses(client: Client) {
  const hello = await client.request("hello", { device: "auto" });
  const version: string = hello.version;
  const kind: "opfs" | "memory" = hello.storage.kind;
  const problem: string | undefined = (await client.request("describe", { config: { "train.lr": 1, "sample.prompts": ["a"] } })).problem?.message;
  const loss: Float64Array = (await client.request("metrics", { run: "r" })).loss;
  const blob: Blob = (await client.request("download", { run: "r" })).blob;
  const { path, bytes } = await client.request("text", { file: blob, name: "a.txt" });
  const run = (await client.request("import", { files: [], name: "" })).run.id;
  const quota: number = (await client.request("usage", {})).quota;
  await client.request("pause", {}, { signal: new AbortController().signal });
  client.on("steps", (d) => d.rows.map((r) => r.loss + r.gradNorm));
  client.on("inner", (d) => d.drift.subarray(0, d.layers));
  client.on("crash", (d) => d.code === "internal" && d.output);
  client.on("progress", (d) => d.loaded / d.total);

  // @ts-expect-error no such device
  await client.request("hello", { device: "tpu" });
  // @ts-expect-error what it takes is missing
  await client.request("hello", {});
  // @ts-expect-error a key too many
  await client.request("metrics", { run: "r", step: 1 });
  // @ts-expect-error no such method
  await client.request("constructor", {});
  // @ts-expect-error a folder is the worker's business
  await client.request("import", { dir: "/imports/1", name: "" });
  // @ts-expect-error no such event
  client.on("step", () => {});
  // @ts-expect-error no such column
  client.on("inner", (d) => d.loss);
  // @ts-expect-error no such code
  client.on("crash", (d) => d.code === "boom");
  return { version, kind, problem, loss, path, bytes, run, quota };
}
