// The part of the C API of wgpu-native (webgpu.h and wgpu.h of 2024, wgpu 0.19) that native.c calls. The Go binding
// carries the library but no other package can include its headers. TestABI compares the layouts.
#ifndef INNERLOOP_WEBGPU_H
#define INNERLOOP_WEBGPU_H
#include <stddef.h>
#include <stdint.h>

typedef struct WGPUInstanceImpl *WGPUInstance;
typedef struct WGPUAdapterImpl *WGPUAdapter;
typedef struct WGPUDeviceImpl *WGPUDevice;
typedef struct WGPUQueueImpl *WGPUQueue;
typedef struct WGPUBufferImpl *WGPUBuffer;
typedef struct WGPUShaderModuleImpl *WGPUShaderModule;
typedef struct WGPUBindGroupLayoutImpl *WGPUBindGroupLayout;
typedef struct WGPUPipelineLayoutImpl *WGPUPipelineLayout;
typedef struct WGPUComputePipelineImpl *WGPUComputePipeline;
typedef struct WGPUBindGroupImpl *WGPUBindGroup;
typedef struct WGPUCommandEncoderImpl *WGPUCommandEncoder;
typedef struct WGPUComputePassEncoderImpl *WGPUComputePassEncoder;
typedef struct WGPUCommandBufferImpl *WGPUCommandBuffer;

typedef uint32_t WGPUBool;
typedef uint32_t WGPUFlags;
typedef int32_t WGPUEnum; // every enumeration of the API

enum {
  WGPUSType_ShaderModuleWGSLDescriptor = 6,
  WGPUSType_InstanceExtras = 0x00030006,
  WGPUInstanceBackend_Vulkan = 1,
  WGPUInstanceBackend_Primary = 1 | 4 | 8 | 32,
  WGPUBufferUsage_MapRead = 1,
  WGPUBufferUsage_CopySrc = 4,
  WGPUBufferUsage_CopyDst = 8,
  WGPUBufferUsage_Storage = 0x80,
  WGPUMapMode_Read = 1,
  WGPUShaderStage_Compute = 4,
  WGPUBufferBindingType_Storage = 2,
  WGPUBufferBindingType_ReadOnlyStorage = 3,
  WGPUErrorType_Validation = 1,
  WGPUErrorType_OutOfMemory = 2,
  WGPUErrorType_DeviceLost = 5,
  WGPUBufferMapAsyncStatus_Success = 0,
};

typedef struct WGPUChainedStruct {
  struct WGPUChainedStruct const *next;
  WGPUEnum sType;
} WGPUChainedStruct;

typedef struct {
  WGPUChainedStruct const *nextInChain;
} WGPUInstanceDescriptor;

typedef struct {
  WGPUChainedStruct chain;
  WGPUFlags backends, flags;
  WGPUEnum dx12ShaderCompiler, gles3MinorVersion;
  char const *dxilPath, *dxcPath;
} WGPUInstanceExtras;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUFlags backends;
} WGPUInstanceEnumerateAdapterOptions;

typedef struct {
  void *nextInChain;
  char const *vendor, *architecture, *device, *description;
  WGPUEnum backendType, adapterType;
  uint32_t vendorID, deviceID;
} WGPUAdapterInfo;

typedef struct {
  uint32_t maxTextureDimension1D, maxTextureDimension2D, maxTextureDimension3D, maxTextureArrayLayers;
  uint32_t maxBindGroups, maxBindGroupsPlusVertexBuffers, maxBindingsPerBindGroup;
  uint32_t maxDynamicUniformBuffersPerPipelineLayout, maxDynamicStorageBuffersPerPipelineLayout;
  uint32_t maxSampledTexturesPerShaderStage, maxSamplersPerShaderStage;
  uint32_t maxStorageBuffersPerShaderStage, maxStorageTexturesPerShaderStage, maxUniformBuffersPerShaderStage;
  uint64_t maxUniformBufferBindingSize, maxStorageBufferBindingSize;
  uint32_t minUniformBufferOffsetAlignment, minStorageBufferOffsetAlignment;
  uint32_t maxVertexBuffers;
  uint64_t maxBufferSize;
  uint32_t maxVertexAttributes, maxVertexBufferArrayStride;
  uint32_t maxInterStageShaderComponents, maxInterStageShaderVariables;
  uint32_t maxColorAttachments, maxColorAttachmentBytesPerSample;
  uint32_t maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup;
  uint32_t maxComputeWorkgroupSizeX, maxComputeWorkgroupSizeY, maxComputeWorkgroupSizeZ;
  uint32_t maxComputeWorkgroupsPerDimension;
} WGPULimits;

// WGPUSupportedLimits and WGPURequiredLimits.
typedef struct {
  void *nextInChain;
  WGPULimits limits;
} WGPUSupportedLimits;
typedef WGPUSupportedLimits WGPURequiredLimits;

typedef void (*WGPUErrorCallback)(WGPUEnum type, char const *message, void *userdata);
typedef void (*WGPUDeviceLostCallback)(WGPUEnum reason, char const *message, void *userdata);
typedef void (*WGPUAdapterRequestDeviceCallback)(WGPUEnum status, WGPUDevice device, char const *message, void *userdata);
typedef void (*WGPUBufferMapAsyncCallback)(WGPUEnum status, void *userdata);
typedef void (*WGPUQueueOnSubmittedWorkDoneCallback)(WGPUEnum status, void *userdata);

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
} WGPUQueueDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUErrorCallback callback;
  void *userdata;
} WGPUUncapturedErrorCallbackInfo;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  size_t requiredFeatureCount;
  void const *requiredFeatures;
  WGPURequiredLimits const *requiredLimits;
  WGPUQueueDescriptor defaultQueue;
  WGPUDeviceLostCallback deviceLostCallback;
  void *deviceLostUserdata;
  WGPUUncapturedErrorCallbackInfo uncapturedErrorCallbackInfo;
} WGPUDeviceDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  WGPUFlags usage;
  uint64_t size;
  WGPUBool mappedAtCreation;
} WGPUBufferDescriptor;

typedef struct {
  WGPUChainedStruct chain;
  char const *code;
} WGPUShaderModuleWGSLDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  size_t hintCount;
  void const *hints;
} WGPUShaderModuleDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUEnum type;
  WGPUBool hasDynamicOffset;
  uint64_t minBindingSize;
} WGPUBufferBindingLayout;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUEnum type;
} WGPUSamplerBindingLayout;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUEnum sampleType, viewDimension;
  WGPUBool multisampled;
} WGPUTextureBindingLayout;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUEnum access, format, viewDimension;
} WGPUStorageTextureBindingLayout;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  uint32_t binding;
  WGPUFlags visibility;
  WGPUBufferBindingLayout buffer;
  WGPUSamplerBindingLayout sampler;
  WGPUTextureBindingLayout texture;
  WGPUStorageTextureBindingLayout storageTexture;
} WGPUBindGroupLayoutEntry;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  size_t entryCount;
  WGPUBindGroupLayoutEntry const *entries;
} WGPUBindGroupLayoutDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  size_t bindGroupLayoutCount;
  WGPUBindGroupLayout const *bindGroupLayouts;
} WGPUPipelineLayoutDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  WGPUShaderModule module;
  char const *entryPoint;
  size_t constantCount;
  void const *constants;
} WGPUProgrammableStageDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  WGPUPipelineLayout layout;
  WGPUProgrammableStageDescriptor compute;
} WGPUComputePipelineDescriptor;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  uint32_t binding;
  WGPUBuffer buffer;
  uint64_t offset, size;
  void *sampler, *textureView;
} WGPUBindGroupEntry;

typedef struct {
  WGPUChainedStruct const *nextInChain;
  char const *label;
  WGPUBindGroupLayout layout;
  size_t entryCount;
  WGPUBindGroupEntry const *entries;
} WGPUBindGroupDescriptor;

#ifndef INNERLOOP_LAYOUT_ONLY
void wgpuSetLogLevel(WGPUEnum);
WGPUInstance wgpuCreateInstance(WGPUInstanceDescriptor const *);
void wgpuInstanceRelease(WGPUInstance);
size_t wgpuInstanceEnumerateAdapters(WGPUInstance, WGPUInstanceEnumerateAdapterOptions const *, WGPUAdapter *);
void wgpuAdapterGetInfo(WGPUAdapter, WGPUAdapterInfo *);
void wgpuAdapterInfoFreeMembers(WGPUAdapterInfo);
WGPUBool wgpuAdapterGetLimits(WGPUAdapter, WGPUSupportedLimits *);
void wgpuAdapterRequestDevice(WGPUAdapter, WGPUDeviceDescriptor const *, WGPUAdapterRequestDeviceCallback, void *);
void wgpuAdapterRelease(WGPUAdapter);
WGPUBool wgpuDeviceGetLimits(WGPUDevice, WGPUSupportedLimits *);
WGPUQueue wgpuDeviceGetQueue(WGPUDevice);
WGPUBool wgpuDevicePoll(WGPUDevice, WGPUBool wait, void const *submissionIndex);
void wgpuDeviceRelease(WGPUDevice);
WGPUBuffer wgpuDeviceCreateBuffer(WGPUDevice, WGPUBufferDescriptor const *);
WGPUShaderModule wgpuDeviceCreateShaderModule(WGPUDevice, WGPUShaderModuleDescriptor const *);
WGPUBindGroupLayout wgpuDeviceCreateBindGroupLayout(WGPUDevice, WGPUBindGroupLayoutDescriptor const *);
WGPUPipelineLayout wgpuDeviceCreatePipelineLayout(WGPUDevice, WGPUPipelineLayoutDescriptor const *);
WGPUComputePipeline wgpuDeviceCreateComputePipeline(WGPUDevice, WGPUComputePipelineDescriptor const *);
WGPUBindGroup wgpuDeviceCreateBindGroup(WGPUDevice, WGPUBindGroupDescriptor const *);
WGPUCommandEncoder wgpuDeviceCreateCommandEncoder(WGPUDevice, void const *);
void wgpuBufferRelease(WGPUBuffer);
void wgpuBufferMapAsync(WGPUBuffer, WGPUFlags mode, size_t offset, size_t size, WGPUBufferMapAsyncCallback, void *);
void const *wgpuBufferGetConstMappedRange(WGPUBuffer, size_t offset, size_t size);
void wgpuBufferUnmap(WGPUBuffer);
void wgpuShaderModuleRelease(WGPUShaderModule);
void wgpuBindGroupLayoutRelease(WGPUBindGroupLayout);
void wgpuPipelineLayoutRelease(WGPUPipelineLayout);
void wgpuComputePipelineRelease(WGPUComputePipeline);
void wgpuBindGroupRelease(WGPUBindGroup);
WGPUComputePassEncoder wgpuCommandEncoderBeginComputePass(WGPUCommandEncoder, void const *);
void wgpuCommandEncoderClearBuffer(WGPUCommandEncoder, WGPUBuffer, uint64_t offset, uint64_t size);
void wgpuCommandEncoderCopyBufferToBuffer(WGPUCommandEncoder, WGPUBuffer, uint64_t, WGPUBuffer, uint64_t, uint64_t size);
WGPUCommandBuffer wgpuCommandEncoderFinish(WGPUCommandEncoder, void const *);
void wgpuCommandEncoderRelease(WGPUCommandEncoder);
void wgpuCommandBufferRelease(WGPUCommandBuffer);
void wgpuComputePassEncoderSetPipeline(WGPUComputePassEncoder, WGPUComputePipeline);
void wgpuComputePassEncoderSetBindGroup(WGPUComputePassEncoder, uint32_t, WGPUBindGroup, size_t, uint32_t const *);
void wgpuComputePassEncoderDispatchWorkgroups(WGPUComputePassEncoder, uint32_t, uint32_t, uint32_t);
void wgpuComputePassEncoderEnd(WGPUComputePassEncoder);
void wgpuComputePassEncoderRelease(WGPUComputePassEncoder);
void wgpuQueueSubmit(WGPUQueue, size_t, WGPUCommandBuffer const *);
void wgpuQueueWriteBuffer(WGPUQueue, WGPUBuffer, uint64_t offset, void const *, size_t);
void wgpuQueueOnSubmittedWorkDone(WGPUQueue, WGPUQueueOnSubmittedWorkDoneCallback, void *);
void wgpuQueueRelease(WGPUQueue);
#endif
#endif
