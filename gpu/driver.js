// The browser's driver: it owns the WebGPU objects, which Go knows by number, and replays a tape in one call from Go.
// An expression: a function of maxInFlight that returns { adapters, open }. It needs nothing of a page, so that it runs
// in a worker. Rejections are Errors with a kind: "invalid", "adapter" (there is none), "memory", "lost", "cancelled", or
// "shader", which has a line and a column too.
(maxInFlight) => {
  const error = (kind, message, more) => Object.assign(new Error(message), { kind }, more);

  // Processors that play a GPU: SwiftShader, Mesa's llvmpipe (lavapipe is its Vulkan) and softpipe, Windows' WARP.
  const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render|\bwarp\b/i;

  // adapters resolves to what the browser offers, each once.
  const adapters = async () => {
    const { gpu } = globalThis.navigator ?? {};
    if (!gpu) {
      throw error("adapter", "navigator.gpu is missing: an old browser, or a page that is neither https nor localhost");
    }
    const asked = [{ powerPreference: "high-performance" }, { powerPreference: "low-power" }, { forceFallbackAdapter: true }];
    const list = [];
    for (const adapter of await Promise.all(asked.map((options) => gpu.requestAdapter(options).catch(() => null)))) {
      if (!adapter) continue;
      const info = adapter.info ?? {};
      const name = info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(" ") || "WebGPU";
      if (list.some((a) => a.name === name)) continue;
      const software = Boolean(info.isFallbackAdapter || adapter.isFallbackAdapter) || SOFTWARE.test([name, info.vendor, info.architecture, info.device].join(" "));
      list.push({ adapter, name, vendor: info.vendor ?? "", device: info.device ?? "", software, limits: adapter.limits });
    }
    return list;
  };

  // open resolves to a device with the named limits of the adapter. The methods of it that have to wait, which are
  // submit where it returns true, read, wait and settle, call answer(error, value) once, with an error of null or
  // the value; there is one of them at a time. compiled(done, total) is called, if at all, when a pipeline is.
  const open = async (adapter, names, answer, compiled = () => {}) => {
    const requiredLimits = Object.fromEntries(names.map((n) => [n, adapter.limits[n]]).filter(([, v]) => v !== undefined));
    const device = await adapter.requestDevice({ requiredLimits });
    const queue = device.queue;
    const things = [null]; // by handle
    const holes = [];
    let compiling = { done: 0, total: 0, awaited: false }; // pipelines since the last settle
    let giveUp = () => {}; // ends the settle that waits
    let begun = []; // of newBuffer, newPipeline and tapeDispatch since the last settle: promises of an error or of null
    let fault = null;
    let closed = false;
    let inFlight = 0;
    let waiters = []; // called when a submission ends
    let staging = null;

    const ended = () => {
      const w = waiters;
      waiters = [];
      for (const f of w) f();
    };
    device.addEventListener("uncapturederror", (e) => {
      fault ??= error(e.error instanceof GPUOutOfMemoryError ? "memory" : "invalid", e.error.message);
    });
    const lost = device.lost.then((info) => {
      if (!closed) fault = error("lost", info.message || info.reason);
      inFlight = 0;
      ended();
    });
    const check = () => {
      if (fault) throw fault;
    };
    // broken is for a rejection: it throws the loss of the device, if that is why, which may be told only afterwards.
    const broken = async (e) => {
      await Promise.race([lost, new Promise((f) => setTimeout(f, 500))]);
      check();
      throw error("invalid", e.message);
    };
    const reply = (promise) => {
      promise.then((v) => answer(null, v), (e) => answer(e, null));
    };
    const keep = (thing) => {
      const h = holes.length > 0 ? holes.pop() : things.length;
      things[h] = thing;
      return h;
    };
    const drop = (h) => {
      const thing = things[h];
      things[h] = null;
      holes.push(h);
      return thing;
    };
    // scoped runs make and returns its result at once, beside a promise of the error that it caused, or of null.
    const scoped = (filters, make) => {
      for (const f of filters) device.pushErrorScope(f);
      let thing = null;
      let thrown = null;
      try {
        thing = make();
      } catch (e) {
        thrown = error("invalid", e.message);
      }
      const popped = filters.map(() => device.popErrorScope());
      const failed = Promise.all(popped).then((errors) => {
        const e = errors.find(Boolean);
        return e ? error(e instanceof GPUOutOfMemoryError ? "memory" : "invalid", e.message) : thrown;
      });
      return { thing, failed };
    };
    const buffer = (label, size, usage) => scoped(["validation", "out-of-memory"], () => device.createBuffer({ label, size, usage }));
    // compile begins a pipeline. Its promise is of the error, where the compiler says so with its place.
    const compile = (label, code, readOnly) => {
      const made = { pipeline: null, layout: null };
      let module = null;
      let ready = null;
      const { failed } = scoped(["validation"], () => {
        module = device.createShaderModule({ label, code });
        const entries = readOnly.map((r, binding) => ({
          binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: r ? "read-only-storage" : "storage" },
        }));
        made.layout = device.createBindGroupLayout({ label, entries });
        const layout = device.createPipelineLayout({ label, bindGroupLayouts: [made.layout] });
        ready = device.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main" } });
      });
      const result = ready?.then((p) => void (made.pipeline = p), (e) => e);
      const finish = async () => {
        const [invalid, refused] = [await failed, await result];
        if (!invalid && !refused) return null;
        const { messages } = (await module?.getCompilationInfo()) ?? { messages: [] };
        const m = messages.find((m) => m.type === "error");
        const message = m?.message ?? (invalid ?? refused).message;
        return error("shader", message, { line: m?.lineNum ?? 0, column: m?.linePos ?? 0 });
      };
      const mine = compiling;
      mine.total++;
      const count = () => {
        mine.done++;
        if (mine.awaited && !closed) compiled(mine.done, mine.total);
      };
      return { thing: made, failed: finish().finally(count) };
    };
    const begin = ({ thing, failed }) => {
      begun.push(failed);
      failed.catch(() => {}); // settle hears of it
      return thing;
    };
    // settled resolves once all that was begun is done; it rejects with the first error, whose index tells of what.
    const settled = async () => {
      const all = begun;
      const mine = compiling;
      begun = [];
      compiling = { done: 0, total: 0, awaited: false };
      const stopped = new Promise((_, reject) => {
        giveUp = () => reject(error("cancelled", "given up while the kernels were compiled"));
      });
      mine.awaited = true;
      const errors = await Promise.race([Promise.all(all).catch(broken), stopped]).finally(() => {
        mine.awaited = false;
        giveUp = () => {};
      });
      check();
      const index = errors.findIndex(Boolean);
      if (index >= 0) throw Object.assign(errors[index], { index });
    };
    const until = async (n) => {
      while (inFlight > n) await new Promise((f) => waiters.push(f));
      check();
    };
    const done = () => {
      inFlight = Math.max(0, inFlight - 1);
      ended();
    };
    const submit = (encoder) => {
      queue.submit([encoder.finish()]);
      inFlight++;
      queue.onSubmittedWorkDone().then(done, done);
    };
    // read resolves to the bytes, a view that is good until unmap.
    const read = async (buf, offset, n) => {
      check();
      if (!staging || staging.size < n) {
        staging?.destroy();
        staging = null;
        const size = Math.max(4096, 2 ** Math.ceil(Math.log2(n)));
        const { thing, failed } = buffer("staging", size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
        const e = await failed.catch(broken);
        check();
        if (e) throw e;
        staging = thing;
      }
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(things[buf], offset, staging, 0, n);
      submit(encoder);
      await staging.mapAsync(GPUMapMode.READ, 0, n).catch(broken);
      return new Uint8Array(staging.getMappedRange(0, n));
    };

    return {
      device,
      limits: device.limits,
      // newBuffer, newPipeline and tapeDispatch only begin; settle tells what became of them.
      newBuffer(label, size) {
        const U = GPUBufferUsage;
        return keep(begin(buffer(label, size, U.STORAGE | U.COPY_SRC | U.COPY_DST)));
      },
      freeBuffer(h) {
        drop(h)?.destroy();
      },
      newPipeline(label, code, ...readOnly) {
        return keep(begin(compile(label, code, readOnly)));
      },
      freePipeline: drop,
      newTape() {
        return keep([]);
      },
      freeTape: drop,
      // tapeDispatch takes three numbers a binding: buffer, offset, size.
      tapeDispatch(tape, pipeline, x, y, z, ...binds) {
        const of = things[pipeline];
        const entries = [];
        for (let i = 0; i < binds.length; i += 3) {
          entries.push({ binding: i / 3, resource: { buffer: things[binds[i]], offset: binds[i + 1], size: binds[i + 2] } });
        }
        const group = begin(scoped(["validation"], () => device.createBindGroup({ layout: of.layout, entries })));
        things[tape].push({ of, group, x, y, z });
      },
      tapeClear(tape, buf, offset, size) {
        things[tape].push({ of: null, buffer: things[buf], offset, size });
      },
      settle: () => reply(settled()),
      cancel: () => giveUp(),
      // submit returns whether so much is in flight that it answers only once some of it has ended.
      submit(tape, first, count, repeat) {
        check();
        const steps = things[tape];
        const encoder = device.createCommandEncoder();
        let pass = null;
        let last = null;
        for (let n = 0; n < repeat; n++) {
          for (let i = first; i < first + count; i++) {
            const s = steps[i];
            if (s.of === null) {
              pass?.end();
              pass = null;
              encoder.clearBuffer(s.buffer, s.offset, s.size);
              continue;
            }
            if (pass === null) {
              pass = encoder.beginComputePass();
              last = null;
            }
            if (s.of !== last) pass.setPipeline((last = s.of).pipeline);
            pass.setBindGroup(0, s.group);
            pass.dispatchWorkgroups(s.x, s.y, s.z);
          }
        }
        pass?.end();
        submit(encoder);
        const full = inFlight > maxInFlight;
        if (full) reply(until(maxInFlight));
        return full;
      },
      write(buf, offset, data, n) {
        check();
        queue.writeBuffer(things[buf], offset, data, 0, n);
      },
      read: (buf, offset, n) => reply(read(buf, offset, n)),
      unmap() {
        staging.unmap();
        check();
      },
      stagingBytes: () => staging?.size ?? 0,
      wait: () => reply(until(0)),
      close() {
        closed = true;
        for (const t of things) if (t instanceof GPUBuffer) t.destroy();
        things.length = 0;
        staging?.destroy();
        device.destroy();
      },
    };
  };
  return { adapters, open };
}
