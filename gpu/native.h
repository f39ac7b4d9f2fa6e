// What driver_notjs.go calls. Every function that can fail returns 0 or a WGPUErrorType, and gpu_message then says why.
#ifndef INNERLOOP_NATIVE_H
#define INNERLOOP_NATIVE_H
#include "webgpu.h"

typedef struct gpu_list gpu_list;     // the machine's adapters
typedef struct gpu_device gpu_device; // a device, its queue and its error
typedef uintptr_t gpu_handle;         // a buffer, a pipeline or a tape; 0: none

typedef struct {
  char name[256];
  WGPUEnum backend, type;
  uint32_t vendor, device;
  WGPULimits limits;
} gpu_adapter;

typedef struct {
  gpu_handle buffer;
  uint64_t offset, size; // bytes
} gpu_bind;

gpu_list *gpu_list_new(WGPUFlags backends);
int gpu_list_len(gpu_list *);
void gpu_list_get(gpu_list *, int i, gpu_adapter *out);
void gpu_list_free(gpu_list *);

gpu_device *gpu_open(gpu_list *, int i, WGPULimits const *raise, WGPULimits *got, char *message, size_t len);
char const *gpu_message(gpu_device *);
void gpu_close(gpu_device *);
void gpu_poll(gpu_device *);
int gpu_wait(gpu_device *, uint64_t in_flight);
uint64_t gpu_staging_bytes(gpu_device *);

int gpu_buffer_new(gpu_device *, char const *label, uint64_t bytes, gpu_handle *out);
void gpu_buffer_free(gpu_handle);
int gpu_pipeline_new(gpu_device *, char const *label, char const *wgsl, uint8_t const *read_only, int binds, gpu_handle *out);
void gpu_pipeline_free(gpu_handle);
gpu_handle gpu_tape_new(void);
void gpu_tape_free(gpu_handle);
int gpu_tape_dispatch(gpu_device *, gpu_handle tape, gpu_handle pipeline, gpu_bind const *, int binds, uint32_t x, uint32_t y, uint32_t z);
int gpu_tape_clear(gpu_device *, gpu_handle tape, gpu_bind range);
int gpu_submit(gpu_device *, gpu_handle tape, int first, int count, int repeat, uint64_t in_flight);
int gpu_write(gpu_device *, gpu_handle buffer, uint64_t offset, void const *, size_t);
int gpu_read(gpu_device *, gpu_handle buffer, uint64_t offset, void *, size_t);
#endif
