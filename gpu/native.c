//go:build !js

// A thin layer over wgpu-native. All that a callback touches is malloc'd here, because the binding's callbacks point
// into Go's heap, and every error arrives in one place: wgpu-native calls the uncaptured-error callback on the thread
// of the call that failed, and its default aborts the process.
//
// Nothing here waits inside wgpu: wgpu 0.19 gives up a wait after 5 s and then takes the work for done. wait_for
// polls instead.
#include "native.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
static void yield(void) { SwitchToThread(); }
static void pause_us(unsigned us) { us < 1000 ? SwitchToThread() : Sleep(us / 1000); }
#else
#include <sched.h>
#include <time.h>
static void yield(void) { sched_yield(); }
static void pause_us(unsigned us) {
  struct timespec t = {0, us * 1000L};
  nanosleep(&t, NULL);
}
#endif

struct gpu_list {
  WGPUInstance instance;
  int n;
  WGPUAdapter *adapters;
};

struct gpu_device {
  WGPUDevice device;
  WGPUQueue queue;
  int error, lost; // WGPUErrorType of the first error since the last call began
  char message[8192];
  uint64_t submitted, done;
  uint64_t unflushed; // bytes of staging that gpu_write made since the last submission
  WGPUBuffer staging;
  uint64_t staging_size;
  int map_state;
};

typedef struct {
  WGPUComputePipeline pipeline;
  WGPUBindGroupLayout layout;
} pipeline;

typedef struct {
  WGPUComputePipeline pipeline; // NULL: a clear
  WGPUBindGroup group;
  uint32_t x, y, z;
  gpu_bind range;
} step;

typedef struct {
  step *steps;
  int n, cap;
} tape;

enum { CHUNK = 64 << 20 }; // most bytes of staging memory at a time

static char const *or_empty(char const *s) { return s ? s : ""; }

gpu_list *gpu_list_new(WGPUFlags backends) {
  wgpuSetLogLevel(0); // errors are returned
#ifdef __linux__
  // Mesa's layer that orders devices complains where there is no desktop session; the caller chooses by itself.
  if (!getenv("XDG_RUNTIME_DIR")) setenv("NODEVICE_SELECT", "1", 0);
#endif
  WGPUInstanceExtras extras = {.chain = {.sType = WGPUSType_InstanceExtras}, .backends = backends};
  WGPUInstanceDescriptor desc = {&extras.chain};
  gpu_list *l = calloc(1, sizeof *l);
  l->instance = wgpuCreateInstance(&desc);
  if (!l->instance) return l;
  WGPUInstanceEnumerateAdapterOptions opts = {NULL, backends};
  l->n = (int)wgpuInstanceEnumerateAdapters(l->instance, &opts, NULL);
  l->adapters = calloc(l->n + 1, sizeof *l->adapters);
  l->n = (int)wgpuInstanceEnumerateAdapters(l->instance, &opts, l->adapters);
  return l;
}

int gpu_list_len(gpu_list *l) { return l->n; }

void gpu_list_get(gpu_list *l, int i, gpu_adapter *out) {
  WGPUAdapterInfo info = {0};
  wgpuAdapterGetInfo(l->adapters[i], &info);
  snprintf(out->name, sizeof out->name, "%s", or_empty(info.description)); // info.device is a number in text
  out->vendor = info.vendorID;
  out->device = info.deviceID;
  out->backend = info.backendType;
  out->type = info.adapterType;
  wgpuAdapterInfoFreeMembers(info);
  WGPUSupportedLimits lim = {0};
  wgpuAdapterGetLimits(l->adapters[i], &lim);
  out->limits = lim.limits;
}

void gpu_list_free(gpu_list *l) {
  for (int i = 0; i < l->n; i++) wgpuAdapterRelease(l->adapters[i]);
  if (l->instance) wgpuInstanceRelease(l->instance);
  free(l->adapters);
  free(l);
}

static void fail(gpu_device *d, int type, char const *message) {
  if (d->error) return;
  d->error = type ? type : WGPUErrorType_Validation;
  snprintf(d->message, sizeof d->message, "%s", or_empty(message));
}

static void on_error(WGPUEnum type, char const *message, void *userdata) { fail(userdata, type, message); }

static void on_lost(WGPUEnum reason, char const *message, void *userdata) {
  (void)reason;
  gpu_device *d = userdata;
  d->lost = 1;
  fail(d, WGPUErrorType_DeviceLost, message);
}

static void on_done(WGPUEnum status, void *userdata) {
  (void)status;
  ((gpu_device *)userdata)->done++;
}

static void on_map(WGPUEnum status, void *userdata) { ((gpu_device *)userdata)->map_state = status == WGPUBufferMapAsyncStatus_Success ? 1 : -1; }

typedef struct {
  WGPUDevice device;
  char *message;
  size_t len;
} request;

static void on_device(WGPUEnum status, WGPUDevice device, char const *message, void *userdata) {
  request *r = userdata;
  r->device = status == 0 ? device : NULL;
  if (status) snprintf(r->message, r->len, "%s", or_empty(message));
}

gpu_device *gpu_open(gpu_list *l, int i, WGPULimits const *raise, WGPULimits *got, char *message, size_t len) {
  gpu_device *d = calloc(1, sizeof *d);
  WGPURequiredLimits limits = {NULL, *raise};
  WGPUDeviceDescriptor desc = {
      .label = "innerloop",
      .requiredLimits = &limits,
      .deviceLostCallback = on_lost,
      .deviceLostUserdata = d,
      .uncapturedErrorCallbackInfo = {NULL, on_error, d},
  };
  request r = {NULL, message, len};
  wgpuAdapterRequestDevice(l->adapters[i], &desc, on_device, &r);
  if (!r.device) {
    free(d);
    return NULL;
  }
  d->device = r.device;
  d->queue = wgpuDeviceGetQueue(d->device);
  WGPUSupportedLimits lim = {0};
  wgpuDeviceGetLimits(d->device, &lim);
  *got = lim.limits;
  return d;
}

char const *gpu_message(gpu_device *d) { return d->message; }

static void begin(gpu_device *d) {
  if (!d->lost) d->error = 0;
}

void gpu_poll(gpu_device *d) { wgpuDevicePoll(d->device, 0, NULL); }

// wait_for returns once at most in_flight submissions have not ended.
static int wait_for(gpu_device *d, uint64_t in_flight) {
  unsigned us = 0;
  for (int n = 0;; n++) {
    wgpuDevicePoll(d->device, 0, NULL);
    if (d->error || d->submitted - d->done <= in_flight) return d->error;
    if (n < 30) { // short work ends while a sleep would only begin
      yield();
      continue;
    }
    us = us + us / 8 + 4; // the waiting adds about an eighth at most
    pause_us(us < 2000 ? us : 2000);
  }
}

int gpu_wait(gpu_device *d, uint64_t in_flight) {
  begin(d);
  return wait_for(d, in_flight);
}

uint64_t gpu_staging_bytes(gpu_device *d) { return d->staging_size; }

static void submit(gpu_device *d, WGPUCommandEncoder e) {
  WGPUCommandBuffer c = wgpuCommandEncoderFinish(e, NULL);
  // Submitting the invalid result of a failed encoding would abort.
  if (!d->error) {
    wgpuQueueSubmit(d->queue, 1, &c);
    d->submitted++;
    d->unflushed = 0;
    wgpuQueueOnSubmittedWorkDone(d->queue, on_done, d);
  }
  wgpuCommandBufferRelease(c);
  wgpuCommandEncoderRelease(e);
}

// flush submits what gpu_write queued and waits, so that its staging memory is freed.
static int flush(gpu_device *d) {
  WGPUCommandEncoder e = wgpuDeviceCreateCommandEncoder(d->device, NULL);
  submit(d, e);
  return wait_for(d, 0);
}

void gpu_close(gpu_device *d) {
  if (d->lost) return; // releasing a lost device aborts the process
  begin(d);
  wait_for(d, 0);
  if (d->staging) wgpuBufferRelease(d->staging);
  wgpuQueueRelease(d->queue);
  wgpuDeviceRelease(d->device);
  free(d);
}

static WGPUBuffer buffer(gpu_device *d, char const *label, uint64_t bytes, WGPUFlags usage) {
  WGPUBufferDescriptor desc = {.label = label, .usage = usage, .size = bytes};
  WGPUBuffer b = wgpuDeviceCreateBuffer(d->device, &desc);
  if (d->error && b) {
    wgpuBufferRelease(b);
    b = NULL;
  }
  return b;
}

int gpu_buffer_new(gpu_device *d, char const *label, uint64_t bytes, gpu_handle *out) {
  begin(d);
  *out = (gpu_handle)buffer(d, label, bytes, WGPUBufferUsage_Storage | WGPUBufferUsage_CopySrc | WGPUBufferUsage_CopyDst);
  return d->error;
}

void gpu_buffer_free(gpu_handle b) { wgpuBufferRelease((WGPUBuffer)b); }

int gpu_pipeline_new(gpu_device *d, char const *label, char const *wgsl, uint8_t const *read_only, int binds, gpu_handle *out) {
  begin(d);
  *out = 0;
  WGPUShaderModuleWGSLDescriptor code = {{NULL, WGPUSType_ShaderModuleWGSLDescriptor}, wgsl};
  WGPUShaderModuleDescriptor mod = {.nextInChain = &code.chain, .label = label};
  WGPUShaderModule m = wgpuDeviceCreateShaderModule(d->device, &mod);
  if (d->error) {
    wgpuShaderModuleRelease(m);
    return d->error;
  }
  WGPUBindGroupLayoutEntry *entries = calloc(binds + 1, sizeof *entries);
  for (int i = 0; i < binds; i++) {
    entries[i].binding = i;
    entries[i].visibility = WGPUShaderStage_Compute;
    entries[i].buffer.type = read_only[i] ? WGPUBufferBindingType_ReadOnlyStorage : WGPUBufferBindingType_Storage;
  }
  WGPUBindGroupLayoutDescriptor ld = {.label = label, .entryCount = binds, .entries = entries};
  WGPUBindGroupLayout layout = wgpuDeviceCreateBindGroupLayout(d->device, &ld);
  free(entries);
  WGPUPipelineLayoutDescriptor pd = {.label = label, .bindGroupLayoutCount = 1, .bindGroupLayouts = &layout};
  WGPUPipelineLayout pl = d->error ? NULL : wgpuDeviceCreatePipelineLayout(d->device, &pd);
  WGPUComputePipeline p = NULL;
  if (!d->error) {
    WGPUComputePipelineDescriptor cd = {.label = label, .layout = pl, .compute = {.module = m, .entryPoint = "main"}};
    p = wgpuDeviceCreateComputePipeline(d->device, &cd);
  }
  if (pl) wgpuPipelineLayoutRelease(pl);
  wgpuShaderModuleRelease(m);
  if (d->error) {
    wgpuBindGroupLayoutRelease(layout);
    if (p) wgpuComputePipelineRelease(p);
    return d->error;
  }
  pipeline *r = malloc(sizeof *r);
  *r = (pipeline){p, layout};
  *out = (gpu_handle)r;
  return 0;
}

void gpu_pipeline_free(gpu_handle h) {
  pipeline *p = (pipeline *)h;
  wgpuComputePipelineRelease(p->pipeline);
  wgpuBindGroupLayoutRelease(p->layout);
  free(p);
}

gpu_handle gpu_tape_new(void) { return (gpu_handle)calloc(1, sizeof(tape)); }

void gpu_tape_free(gpu_handle h) {
  tape *t = (tape *)h;
  for (int i = 0; i < t->n; i++)
    if (t->steps[i].group) wgpuBindGroupRelease(t->steps[i].group);
  free(t->steps);
  free(t);
}

static void append(tape *t, step s) {
  if (t->n == t->cap) {
    t->cap = 2 * t->cap + 16;
    t->steps = realloc(t->steps, t->cap * sizeof *t->steps);
  }
  t->steps[t->n++] = s;
}

int gpu_tape_dispatch(gpu_device *d, gpu_handle h, gpu_handle ph, gpu_bind const *binds, int n, uint32_t x, uint32_t y, uint32_t z) {
  begin(d);
  pipeline *p = (pipeline *)ph;
  WGPUBindGroupEntry *entries = calloc(n + 1, sizeof *entries);
  for (int i = 0; i < n; i++) {
    entries[i].binding = i;
    entries[i].buffer = (WGPUBuffer)binds[i].buffer;
    entries[i].offset = binds[i].offset;
    entries[i].size = binds[i].size;
  }
  WGPUBindGroupDescriptor desc = {.layout = p->layout, .entryCount = n, .entries = entries};
  WGPUBindGroup g = wgpuDeviceCreateBindGroup(d->device, &desc);
  free(entries);
  if (d->error) {
    wgpuBindGroupRelease(g);
    return d->error;
  }
  append((tape *)h, (step){.pipeline = p->pipeline, .group = g, .x = x, .y = y, .z = z});
  return 0;
}

int gpu_tape_clear(gpu_device *d, gpu_handle h, gpu_bind range) {
  begin(d);
  append((tape *)h, (step){.range = range});
  return 0;
}

// gpu_submit replays count steps from first on, repeat times over, in one submission.
int gpu_submit(gpu_device *d, gpu_handle h, int first, int count, int repeat, uint64_t in_flight) {
  begin(d);
  if (wait_for(d, in_flight)) return d->error;
  tape *t = (tape *)h;
  WGPUCommandEncoder e = wgpuDeviceCreateCommandEncoder(d->device, NULL);
  WGPUComputePassEncoder pass = NULL;
  WGPUComputePipeline last = NULL;
  for (int n = 0; n < repeat; n++) {
    for (step *s = t->steps + first; s < t->steps + first + count; s++) {
      if (!s->pipeline) {
        if (pass) {
          wgpuComputePassEncoderEnd(pass);
          wgpuComputePassEncoderRelease(pass);
          pass = NULL;
        }
        wgpuCommandEncoderClearBuffer(e, (WGPUBuffer)s->range.buffer, s->range.offset, s->range.size);
        continue;
      }
      if (!pass) {
        pass = wgpuCommandEncoderBeginComputePass(e, NULL);
        last = NULL;
      }
      if (s->pipeline != last) wgpuComputePassEncoderSetPipeline(pass, last = s->pipeline);
      wgpuComputePassEncoderSetBindGroup(pass, 0, s->group, 0, NULL);
      wgpuComputePassEncoderDispatchWorkgroups(pass, s->x, s->y, s->z);
    }
  }
  if (pass) {
    wgpuComputePassEncoderEnd(pass);
    wgpuComputePassEncoderRelease(pass);
  }
  submit(d, e);
  return d->error;
}

int gpu_write(gpu_device *d, gpu_handle b, uint64_t offset, void const *data, size_t n) {
  begin(d);
  while (n > 0 && !d->error) {
    size_t c = n < CHUNK ? n : CHUNK;
    wgpuQueueWriteBuffer(d->queue, (WGPUBuffer)b, offset, data, c);
    data = (char const *)data + c;
    offset += c;
    n -= c;
    d->unflushed += c;
    if (d->unflushed >= CHUNK && !d->error) flush(d);
  }
  return d->error;
}

static int read_chunk(gpu_device *d, WGPUBuffer b, uint64_t offset, void *dst, size_t n) {
  if (n > d->staging_size) {
    if (d->staging) wgpuBufferRelease(d->staging);
    d->staging = NULL;
    d->staging_size = 0;
    uint64_t size = 4096;
    while (size < n) size *= 2;
    d->staging = buffer(d, "staging", size, WGPUBufferUsage_MapRead | WGPUBufferUsage_CopyDst);
    if (d->error) return d->error;
    d->staging_size = size;
  }
  WGPUCommandEncoder e = wgpuDeviceCreateCommandEncoder(d->device, NULL);
  wgpuCommandEncoderCopyBufferToBuffer(e, b, offset, d->staging, 0, n);
  submit(d, e);
  if (d->error) return d->error;
  d->map_state = 0;
  wgpuBufferMapAsync(d->staging, WGPUMapMode_Read, 0, n, on_map, d);
  if (wait_for(d, 0)) return d->error;
  if (d->map_state == 0) gpu_poll(d);
  if (d->map_state != 1) fail(d, WGPUErrorType_Validation, "the staging buffer could not be mapped");
  if (d->error) return d->error;
  memcpy(dst, wgpuBufferGetConstMappedRange(d->staging, 0, n), n);
  wgpuBufferUnmap(d->staging);
  return d->error;
}

int gpu_read(gpu_device *d, gpu_handle b, uint64_t offset, void *dst, size_t n) {
  begin(d);
  while (n > 0 && !d->error) {
    size_t c = n < CHUNK ? n : CHUNK;
    read_chunk(d, (WGPUBuffer)b, offset, dst, c);
    dst = (char *)dst + c;
    offset += c;
    n -= c;
  }
  return d->error;
}
