// The modules that the bundler makes up, for tsc.

declare module "innerloop:wasm_exec" {}

declare module "innerloop:gpu" {
  /** The function of gpu/driver.js. */
  const driver: (maxInFlight: number) => object;
  export default driver;
}

declare module "innerloop:assets" {
  /** Addresses of what the site has, "" for what it has not, the size of the program, and which innerloop it is. */
  const assets: { worker: string; wasm: string; wasmBytes: number; version: string; texts: { opticks: string } };
  export default assets;
}
