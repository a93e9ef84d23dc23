#include "opencl/memory.h"

#include "core/error.h"
#include "core/libc.h"

static uint64_t round_up(uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static cl_mem make_part(const fp_session* session, cl_mem whole, cl_mem_flags flags, uint64_t offset, uint64_t bytes,
                        cl_int* code) {
  const cl_buffer_region region = {offset, bytes};
  return session->device->api.clCreateSubBuffer(whole, flags, CL_BUFFER_CREATE_TYPE_REGION, &region, code);
}

/* As images of TVM's textures: arrays of one layer, texels of four values. */
static cl_mem make_image(const fp_session* session, const fpk_constant* constant, cl_int* code) {
  static const cl_channel_type types[] = {[FPK_FLOAT32] = CL_FLOAT,      [FPK_FLOAT16] = CL_HALF_FLOAT,
                                          [FPK_INT32] = CL_SIGNED_INT32, [FPK_INT16] = CL_SIGNED_INT16,
                                          [FPK_INT8] = CL_SIGNED_INT8,   [FPK_UINT8] = CL_UNSIGNED_INT8};
  const cl_image_format format = {CL_RGBA, types[constant->dtype]};
  const cl_image_desc description = {.image_type = CL_MEM_OBJECT_IMAGE2D_ARRAY,
                                     .image_width = constant->image_width,
                                     .image_height = constant->image_height,
                                     .image_array_size = 1};
  return session->device->api.clCreateImage(session->context, CL_MEM_READ_ONLY, &format, &description, NULL, code);
}

/* Copies a constant's bytes; the package's memory must stay until the queue is empty. */
static cl_int upload(const fp_session* session, const fpk_constant* constant, cl_mem memory) {
  const fp_api* api = &session->device->api;
  const uint8_t* bytes = session->package->weights + constant->offset;
  if (constant->image_width == 0) {
    return api->clEnqueueWriteBuffer(session->queue, memory, CL_FALSE, 0, constant->bytes, bytes, 0, NULL, NULL);
  }
  const size_t origin[3] = {0, 0, 0}, region[3] = {constant->image_width, constant->image_height, 1};
  return api->clEnqueueWriteImage(session->queue, memory, CL_FALSE, origin, region, 0, 0, bytes, 0, NULL, NULL);
}

/* The bytes of the pool that begins with constant `first`: as many of those that follow as fit. */
static uint64_t pool_bytes(const fp_session* session, uint32_t first, uint32_t* end) {
  const fp_package* package = session->package;
  uint64_t bytes = 0;
  uint32_t i = first;
  for (; i < package->constant_count; ++i) {
    const fpk_constant* constant = &package->constants[i];
    if (constant->image_width != 0) continue;
    const uint64_t more = round_up(constant->bytes, session->device->alignment);
    if (bytes > 0 && bytes + more > session->device->most_bytes) break;
    bytes += more;
  }
  *end = i;
  return bytes;
}

static fp_status make_constant(fp_session* session, uint32_t index, cl_mem pool, uint64_t* offset, fp_error* error) {
  const fp_package* package = session->package;
  const fpk_constant* constant = &package->constants[index];
  cl_int code = CL_SUCCESS;
  cl_mem memory = NULL;
  if (constant->image_width != 0) {
    memory = make_image(session, constant, &code);
  } else {
    if (pool != NULL) memory = make_part(session, pool, CL_MEM_READ_ONLY, *offset, constant->bytes, &code);
    *offset += round_up(constant->bytes, session->device->alignment);
    if (memory == NULL) {
      memory = session->device->api.clCreateBuffer(session->context, CL_MEM_READ_ONLY, constant->bytes, NULL, &code);
    }
  }
  session->constants[index] = memory;
  if (memory != NULL) code = upload(session, constant, memory);
  if (memory != NULL && code == CL_SUCCESS) return FP_OK;
  char doing[160];
  snprintf(doing, sizeof(doing), "uploading weights (%.60s, %llu bytes)", fp_package_string(package, constant->name),
           (unsigned long long)constant->bytes);
  return fp_fail_code(error, code, "OpenCL", doing);
}

fp_status fp_memory_upload_constants(fp_session* session, fp_error* error) {
  const fp_api* api = &session->device->api;
  const uint32_t count = session->package->constant_count;
  for (uint32_t first = 0, pool = 0, end = 0; first < count; first = end, ++pool) {
    const uint64_t bytes = pool_bytes(session, first, &end);
    cl_int code = CL_SUCCESS;
    if (bytes > 0) session->pools[pool] = api->clCreateBuffer(session->context, CL_MEM_READ_ONLY, bytes, NULL, &code);
    if (code != CL_SUCCESS) session->pools[pool] = NULL;
    uint64_t offset = 0;
    for (uint32_t i = first; i < end; ++i) {
      const fp_status status = make_constant(session, i, session->pools[pool], &offset, error);
      if (status != FP_OK) return status;
    }
  }
  const cl_int code = api->clFinish(session->queue);
  return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clFinish", "uploading weights");
}

static void release_all(const fp_session* session, cl_mem* memory, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (memory[i] != NULL) session->device->api.clReleaseMemObject(memory[i]);
    memory[i] = NULL;
  }
}

fp_status fp_memory_make_arena(fp_session* session, uint32_t entry, fp_error* error) {
  const fpk_entry* record = &session->package->entries[entry];
  if (session->arenas[entry] != NULL) return FP_OK;
  const fp_opencl_device* device = session->device;
  if (record->arena_bytes > device->most_bytes || FPK_BUFFER_ALIGNMENT % device->alignment != 0) {
    return fp_fail(error, FP_WRONG_DEVICE,
                   "%s allocates %llu bytes at most and cuts buffers every %u bytes; an input of %u x %u needs %llu "
                   "bytes, cut every %u",
                   device->line, (unsigned long long)device->most_bytes, device->alignment, record->height,
                   record->width, (unsigned long long)record->arena_bytes, FPK_BUFFER_ALIGNMENT);
  }
  cl_int code = CL_SUCCESS;
  cl_mem arena = device->api.clCreateBuffer(session->context, CL_MEM_READ_WRITE, record->arena_bytes, NULL, &code);
  if (arena == NULL) return fp_fail_code(error, code, "clCreateBuffer", "allocating a network's memory");
  session->arenas[entry] = arena;
  for (uint32_t i = record->first_buffer; i < record->first_buffer + record->buffer_count; ++i) {
    const fpk_buffer* buffer = &session->package->buffers[i];
    session->buffers[i] = make_part(session, arena, CL_MEM_READ_WRITE, buffer->offset, buffer->bytes, &code);
    if (session->buffers[i] != NULL) continue;
    release_all(session, session->buffers + record->first_buffer, record->buffer_count); /* the next run tries again */
    release_all(session, session->arenas + entry, 1);
    return fp_fail_code(error, code, "clCreateSubBuffer", "cutting a network's memory");
  }
  return FP_OK;
}

void fp_memory_release(fp_session* session) {
  release_all(session, session->buffers, session->package->buffer_count);
  release_all(session, session->arenas, session->package->entry_count);
  release_all(session, session->constants, session->package->constant_count);
  release_all(session, session->pools, session->package->constant_count);
}
