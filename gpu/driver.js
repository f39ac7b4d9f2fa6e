// The browser's driver: it owns the WebGPU objects, which Go knows by number, and replays a tape in one call from Go.
// An expression: a function of maxInFlight that returns { adapters, open }. Rejections are Errors with a kind:
// "invalid", "memory" or "lost".
(maxInFlight) => {
  const error = (kind, message) => Object.assign(new Error(message), { kind });

  // adapters resolves to what the browser offers, each once.
  const adapters = async () => {
    if (!globalThis.navigator?.gpu) {
      throw error("invalid", "no WebGPU here: navigator.gpu is missing (an old browser, or a page that is neither https nor localhost)");
    }
    const list = [];
    for (const options of [{ powerPreference: "high-performance" }, { powerPreference: "low-power" }, { forceFallbackAdapter: true }]) {
      const adapter = await navigator.gpu.requestAdapter(options).catch(() => null);
      if (!adapter) continue;
      const info = adapter.info ?? {};
      const name = info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(" ") || "WebGPU";
      if (list.some((a) => a.name === name)) continue;
      const software = Boolean(info.isFallbackAdapter ?? adapter.isFallbackAdapter) || /swiftshader|llvmpipe|software|basic render/i.test([name, info.architecture, info.device].join(" "));
      list.push({ adapter, name, vendor: info.vendor ?? "", device: info.device ?? "", software, limits: adapter.limits });
    }
    return list;
  };

  // open resolves to a device with the named limits of the adapter.
  const open = async (adapter, names) => {
    const requiredLimits = Object.fromEntries(names.map((n) => [n, adapter.limits[n]]).filter(([, v]) => v !== undefined));
    const device = await adapter.requestDevice({ requiredLimits });
    const queue = device.queue;
    const things = [null]; // by handle
    const holes = [];
    let fault = null;
    let closed = false;
    let inFlight = 0;
    let waiters = []; // called when a submission ends
    let staging = null;

    device.addEventListener("uncapturederror", (e) => {
      fault ??= error(e.error instanceof GPUOutOfMemoryError ? "memory" : "invalid", e.error.message);
    });
    device.lost.then((info) => {
      if (!closed) fault = error("lost", `device lost: ${info.message || info.reason}`);
      inFlight = 0;
      ended();
    });

    const ended = () => {
      const w = waiters;
      waiters = [];
      for (const f of w) f();
    };
    const check = () => {
      if (fault) throw fault;
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
    // scoped runs make and resolves to its result, or rejects with the error that it caused.
    const scoped = async (make) => {
      device.pushErrorScope("validation");
      device.pushErrorScope("out-of-memory");
      let thing, thrown;
      try {
        thing = make();
      } catch (e) {
        thrown = e;
      }
      const [memory, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
      check();
      if (memory) throw error("memory", memory.message);
      if (invalid ?? thrown) throw error("invalid", (invalid ?? thrown).message);
      return thing;
    };
    const buffer = (label, size, usage) => scoped(() => device.createBuffer({ label, size, usage }));
    const until = async (n) => {
      while (inFlight > n) await new Promise((f) => waiters.push(f));
      check();
    };
    const submit = (encoder) => {
      queue.submit([encoder.finish()]);
      inFlight++;
      const done = () => {
        inFlight = Math.max(0, inFlight - 1);
        ended();
      };
      queue.onSubmittedWorkDone().then(done, done);
    };

    return {
      limits: device.limits,
      async newBuffer(label, size) {
        const U = GPUBufferUsage;
        return keep(await buffer(label, size, U.STORAGE | U.COPY_SRC | U.COPY_DST));
      },
      freeBuffer(h) {
        drop(h).destroy();
      },
      async newPipeline(label, code, readOnly) {
        device.pushErrorScope("validation");
        const module = device.createShaderModule({ label, code });
        const popped = device.popErrorScope(); // the same errors, without their lines
        const { messages } = await module.getCompilationInfo();
        await popped;
        const m = messages.find((m) => m.type === "error");
        if (m) throw error("invalid", `line ${m.lineNum}:${m.linePos}: ${m.message}`);
        const entries = readOnly.map((r, binding) => ({
          binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: r ? "read-only-storage" : "storage" },
        }));
        const layout = await scoped(() => device.createBindGroupLayout({ label, entries }));
        try {
          const pipeline = await device.createComputePipelineAsync({
            label, layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }), compute: { module, entryPoint: "main" },
          });
          return keep({ pipeline, layout });
        } catch (e) {
          check();
          throw error("invalid", e.message);
        }
      },
      freePipeline: drop,
      newTape() {
        return keep([]);
      },
      freeTape: drop,
      // tapeDispatch takes three numbers a binding: buffer, offset, size.
      async tapeDispatch(tape, pipeline, binds, x, y, z) {
        const { pipeline: p, layout } = things[pipeline];
        const entries = [];
        for (let i = 0; i < binds.length; i += 3) {
          entries.push({ binding: i / 3, resource: { buffer: things[binds[i]], offset: binds[i + 1], size: binds[i + 2] } });
        }
        const group = await scoped(() => device.createBindGroup({ layout, entries }));
        things[tape].push({ pipeline: p, group, x, y, z });
      },
      tapeClear(tape, buf, offset, size) {
        things[tape].push({ pipeline: null, buffer: things[buf], offset, size });
      },
      // submit returns null, or where too much is in flight a promise to wait for.
      submit(tape, first, count, repeat) {
        check();
        const steps = things[tape];
        const encoder = device.createCommandEncoder();
        let pass = null;
        let last = null;
        for (let n = 0; n < repeat; n++) {
          for (let i = first; i < first + count; i++) {
            const s = steps[i];
            if (s.pipeline === null) {
              pass?.end();
              pass = null;
              encoder.clearBuffer(s.buffer, s.offset, s.size);
              continue;
            }
            if (pass === null) {
              pass = encoder.beginComputePass();
              last = null;
            }
            if (s.pipeline !== last) pass.setPipeline((last = s.pipeline));
            pass.setBindGroup(0, s.group);
            pass.dispatchWorkgroups(s.x, s.y, s.z);
          }
        }
        pass?.end();
        submit(encoder);
        return inFlight > maxInFlight ? until(maxInFlight) : null;
      },
      write(buf, offset, data, n) {
        check();
        queue.writeBuffer(things[buf], offset, data, 0, n);
      },
      // read resolves to the bytes, a view that is good until unmap.
      async read(buf, offset, n) {
        check();
        if (!staging || staging.size < n) {
          staging?.destroy();
          staging = null;
          const size = Math.max(4096, 2 ** Math.ceil(Math.log2(n)));
          staging = await buffer("staging", size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
        }
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(things[buf], offset, staging, 0, n);
        submit(encoder);
        try {
          await staging.mapAsync(GPUMapMode.READ, 0, n);
        } catch (e) {
          check();
          throw error("invalid", e.message);
        }
        return new Uint8Array(staging.getMappedRange(0, n));
      },
      unmap() {
        staging.unmap();
        check();
      },
      wait: () => until(0),
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
