#include "agent/device/memory.h"

#include "core/error.h"

/* Of the processor's memory, in one tensor. */
static const uint64_t kMostHostBytes = (uint64_t)1 << 30;

static void destroy(agent_object* object) {
  agent_memory* memory = (agent_memory*)object;
  if (memory->memory != NULL) {
    /* The standard keeps memory alive while commands use it; not every phone's driver does. */
    memory->gpu->device.api.clFinish(agent_gpu_queue(memory->gpu));
    memory->gpu->device.api.clReleaseMemObject(memory->memory);
  }
  free(memory->host);
  free(memory);
}

static agent_memory* new_memory(agent_gpu* gpu, uint64_t bytes) {
  agent_memory* memory = calloc(1, sizeof(agent_memory));
  if (memory == NULL) return NULL;
  memory->object = (agent_object){AGENT_MEMORY, 1, destroy};
  memory->gpu = gpu;
  memory->bytes = bytes;
  memory->serial = ++gpu->serial;
  return memory;
}

fp_status agent_memory_make(agent_gpu* gpu, int32_t device_type, uint64_t bytes, agent_memory** made, fp_error* error) {
  fp_status status = device_type == AGENT_DEVICE_OPENCL ? agent_gpu_open(gpu, error) : FP_OK;
  if (status != FP_OK) return status;
  agent_memory* memory = new_memory(gpu, bytes);
  cl_int code = CL_OUT_OF_HOST_MEMORY;
  if (memory != NULL && device_type == AGENT_DEVICE_OPENCL) {
    memory->memory =
        gpu->device.api.clCreateBuffer(gpu->context, CL_MEM_READ_WRITE, bytes > 0 ? bytes : 1, NULL, &code);
    if (code != CL_SUCCESS) memory->memory = NULL;
  } else if (memory != NULL && bytes <= kMostHostBytes) {
    memory->host = malloc(bytes > 0 ? bytes : 1);
  }
  if (memory != NULL && (memory->memory != NULL || memory->host != NULL)) {
    *made = memory;
    return FP_OK;
  }
  free(memory);
  char doing[200];
  snprintf(doing, sizeof(doing), "allocating %llu bytes on %.100s (largest single allocation %llu)",
           (unsigned long long)bytes, gpu->is_open ? gpu->device.name : "the processor",
           (unsigned long long)gpu->device.most_bytes);
  return fp_fail_code(error, code, device_type == AGENT_DEVICE_OPENCL ? "clCreateBuffer" : "malloc", doing);
}

/* The channel type of a dtype; 0 where images have none. */
static cl_channel_type channel_type(agent_dtype dtype) {
  enum { INT = 0, UINT = 1, FLOAT = 2 };
  if (dtype.code == FLOAT) return dtype.bits == 32 ? CL_FLOAT : dtype.bits == 16 ? CL_HALF_FLOAT : 0;
  if (dtype.code == INT) {
    return dtype.bits == 32   ? CL_SIGNED_INT32
           : dtype.bits == 16 ? CL_SIGNED_INT16
           : dtype.bits == 8  ? CL_SIGNED_INT8
                              : 0;
  }
  if (dtype.code != UINT) return 0;
  return dtype.bits == 32   ? CL_UNSIGNED_INT32
         : dtype.bits == 16 ? CL_UNSIGNED_INT16
         : dtype.bits == 8  ? CL_UNSIGNED_INT8
                            : 0;
}

/* How many leading axes become rows; -1 for a scope that is none. */
static int row_axes(int dimensions, const char* scope) {
  if (strcmp(scope, "global.texture") == 0) return dimensions - 2;
  if (strcmp(scope, "global.texture-weight") == 0) return 1;
  if (strcmp(scope, "global.texture-nhwc") == 0) return dimensions == 3 ? 1 : 2;
  return -1;
}

static size_t product(const int64_t* first, const int64_t* last, size_t most) {
  size_t value = 1;
  for (; first != last; ++first) {
    if (*first <= 0 || value > most / (size_t)*first) return 0;
    value *= (size_t)*first;
  }
  return value;
}

static fp_status check_image(const agent_gpu* gpu, const agent_tensor* tensor, const char* scope, size_t* width,
                             size_t* height, fp_error* error) {
  const int rows = row_axes(tensor->dimensions, scope), last = tensor->dimensions - 1;
  if (rows < 0 || last < 1 || rows > last) {
    return fp_fail(error, FP_BAD_ARGUMENT,
                   "memory scope \"%.60s\" is not supported for a tensor of %d axes; known: global, global.texture, "
                   "global.texture-nhwc, global.texture-weight",
                   scope, tensor->dimensions);
  }
  const int64_t texel = tensor->shape[last], lanes = tensor->dtype.lanes;
  if (channel_type(tensor->dtype) == 0 || texel < 1 || texel > 4 || texel * lanes != 4) {
    return fp_fail(error, FP_BAD_ARGUMENT,
                   "a texture's last axis is one texel of 4 channels of float16/32 or (u)int8/16/32, not %lld of %lld",
                   (long long)texel, (long long)lanes);
  }
  *width = product(tensor->shape + rows, tensor->shape + last, gpu->device.image_width);
  *height = product(tensor->shape, tensor->shape + rows, gpu->device.image_height);
  if (*width == 0 || *height == 0 || *width > gpu->device.image_width || *height > gpu->device.image_height) {
    return fp_fail(error, FP_WRONG_DEVICE, "an image of this shape does not fit %.200s, which takes %zu x %zu texels",
                   gpu->device.line, gpu->device.image_width, gpu->device.image_height);
  }
  return FP_OK;
}

fp_status agent_memory_make_image(agent_gpu* gpu, const agent_tensor* tensor, const char* scope, agent_memory** made,
                                  fp_error* error) {
  size_t width = 0, height = 0;
  fp_status status = agent_gpu_open(gpu, error);
  if (status == FP_OK) status = check_image(gpu, tensor, scope, &width, &height, error);
  if (status != FP_OK) return status;
  const cl_image_format format = {CL_RGBA, channel_type(tensor->dtype)};
  const cl_image_desc description = {
      .image_type = CL_MEM_OBJECT_IMAGE2D_ARRAY, .image_width = width, .image_height = height, .image_array_size = 1};
  agent_memory* memory = new_memory(gpu, (uint64_t)width * height * 4 * (tensor->dtype.bits / 8));
  cl_int code = CL_OUT_OF_HOST_MEMORY;
  if (memory != NULL) {
    memory->width = width;
    memory->height = height;
    memory->memory = gpu->device.api.clCreateImage(gpu->context, CL_MEM_READ_WRITE, &format, &description, NULL, &code);
    if (code == CL_SUCCESS) {
      *made = memory;
      return FP_OK;
    }
  }
  free(memory);
  return fp_fail_code(error, code, "clCreateImage", gpu->device.line);
}

static fp_status check_range(const agent_memory* memory, uint64_t offset, uint64_t size, fp_error* error) {
  if (offset > memory->bytes || size > memory->bytes - offset) {
    return fp_fail(error, FP_BAD_ARGUMENT, "copy of %llu bytes from byte %llu on goes beyond memory of %llu bytes",
                   (unsigned long long)size, (unsigned long long)offset, (unsigned long long)memory->bytes);
  }
  if (memory->width > 0 && (offset != 0 || size != memory->bytes)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "an image2d is copied whole: %llu bytes, not %llu",
                   (unsigned long long)memory->bytes, (unsigned long long)size);
  }
  return FP_OK;
}

/* Bytes to the device (`from`) or from it (`to`), whichever is given. */
static fp_status transfer(agent_memory* memory, uint64_t offset, const void* from, void* to, uint64_t size,
                          fp_error* error) {
  const fp_status status = check_range(memory, offset, size, error);
  if (status != FP_OK || size == 0) return status;
  if (memory->memory == NULL) {
    memcpy(from != NULL ? memory->host + offset : to, from != NULL ? from : memory->host + offset, size);
    return FP_OK;
  }
  const fp_api* api = &memory->gpu->device.api;
  const cl_command_queue queue = agent_gpu_queue(memory->gpu);
  const size_t origin[3] = {0, 0, 0}, region[3] = {memory->width, memory->height, 1};
  const int is_image = memory->width > 0;
  cl_int code;
  if (from != NULL) {
    code = is_image ? api->clEnqueueWriteImage(queue, memory->memory, CL_TRUE, origin, region, 0, 0, from, 0, NULL, NULL)
                    : api->clEnqueueWriteBuffer(queue, memory->memory, CL_TRUE, offset, size, from, 0, NULL, NULL);
  } else {
    code = is_image ? api->clEnqueueReadImage(queue, memory->memory, CL_TRUE, origin, region, 0, 0, to, 0, NULL, NULL)
                    : api->clEnqueueReadBuffer(queue, memory->memory, CL_TRUE, offset, size, to, 0, NULL, NULL);
  }
  if (code == CL_SUCCESS) return FP_OK;
  return fp_fail_code(error, code, "OpenCL", from != NULL ? "copying to the device" : "copying from the device");
}

fp_status agent_memory_write(agent_memory* memory, uint64_t offset, const void* bytes, uint64_t size, fp_error* error) {
  return transfer(memory, offset, bytes, NULL, size, error);
}

fp_status agent_memory_read(agent_memory* memory, uint64_t offset, void* bytes, uint64_t size, fp_error* error) {
  return transfer(memory, offset, NULL, bytes, size, error);
}

fp_status agent_memory_copy(agent_memory* from, uint64_t from_offset, agent_memory* to, uint64_t to_offset,
                            uint64_t size, fp_error* error) {
  fp_status status = check_range(from, from_offset, size, error);
  if (status == FP_OK) status = check_range(to, to_offset, size, error);
  if (status != FP_OK || size == 0) return status;
  if (from->memory != NULL && to->memory != NULL && from->width == 0 && to->width == 0 && from != to) {
    const cl_int code = from->gpu->device.api.clEnqueueCopyBuffer(agent_gpu_queue(from->gpu), from->memory, to->memory,
                                                                  from_offset, to_offset, size, 0, NULL, NULL);
    return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clEnqueueCopyBuffer", "copying on the device");
  }
  void* bytes = malloc(size);
  if (bytes == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory to copy %llu bytes", (unsigned long long)size);
  status = agent_memory_read(from, from_offset, bytes, size, error);
  if (status == FP_OK) status = agent_memory_write(to, to_offset, bytes, size, error);
  free(bytes);
  return status;
}
