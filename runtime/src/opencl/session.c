#include "opencl/session.h"

#include "core/error.h"
#include "core/libc.h"
#include "opencl/memory.h"

static fp_status open_queue(fp_session* session, fp_error* error) {
  const fp_api* api = &session->device->api;
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)session->device->platform, 0};
  cl_int code = CL_SUCCESS;
  session->context = api->clCreateContext(properties, 1, &session->device->id, NULL, NULL, &code);
  if (code != CL_SUCCESS) return fp_fail_code(error, code, "clCreateContext", "opening the device");
  const cl_command_queue_properties profiling = session->flags & FP_FLAG_EVENTS ? CL_QUEUE_PROFILING_ENABLE : 0;
  session->queue = api->clCreateCommandQueue(session->context, session->device->id, profiling, &code);
  if (code != CL_SUCCESS) return fp_fail_code(error, code, "clCreateCommandQueue", "opening the device");
  return FP_OK;
}

/* The launches of the entry that has most. */
static size_t most_launches(const fp_package* package) {
  size_t most = 0;
  for (uint32_t e = 0; e < package->entry_count; ++e) {
    const fpk_entry* entry = &package->entries[e];
    size_t count = 0;
    for (uint32_t i = 0; i < entry->step_count; ++i) {
      const fpk_step* step = &package->steps[entry->first_step + i];
      count += step->launch_count > step->spare_count ? step->launch_count : step->spare_count;
    }
    if (count > most) most = count;
  }
  return most;
}

static int allocate(fp_session* session) {
  const fp_package* package = session->package;
  int good = 1;
#define FP_ALLOCATE(field, count) good = (session->field = calloc((size_t)(count) + 1, sizeof(*session->field))) && good
  FP_ALLOCATE(pools, package->constant_count);
  FP_ALLOCATE(constants, package->constant_count);
  FP_ALLOCATE(arenas, package->entry_count);
  FP_ALLOCATE(buffers, package->buffer_count);
  FP_ALLOCATE(programs, package->kernel_count);
  FP_ALLOCATE(is_compiled, package->kernel_count);
  FP_ALLOCATE(kernels, package->launch_count);
  FP_ALLOCATE(recordings, package->entry_count);
  FP_ALLOCATE(events, most_launches(package));
  if (session->flags & FP_FLAG_EVENTS) FP_ALLOCATE(secs, package->step_count);
#undef FP_ALLOCATE
  return good;
}

static fp_status begin(fp_session* session, const fp_package* package, const fp_opencl_device* device, fp_cache* cache,
                       uint32_t flags, fp_error* error) {
  memset(session, 0, sizeof(*session));
  session->package = package;
  session->device = device;
  session->cache = cache;
  session->flags = flags;
  if (allocate(session)) return FP_OK;
  fp_session_abandon(session);
  return fp_fail(error, FP_NO_MEMORY, "no memory for %u launches", package->launch_count);
}

fp_status fp_session_open(fp_session* session, const fp_package* package, const fp_opencl_device* device,
                          fp_cache* cache, uint32_t flags, fp_error* error) {
  fp_status status = begin(session, package, device, cache, flags, error);
  if (status != FP_OK) return status;
  status = open_queue(session, error);
  if (status == FP_OK) status = fp_memory_upload_constants(session, error);
  if (status != FP_OK) fp_session_close(session);
  return status;
}

fp_status fp_session_open_in(fp_session* session, const fp_package* package, const fp_opencl_device* device,
                             fp_cache* cache, cl_context context, cl_command_queue queue, fp_error* error) {
  fp_status status = begin(session, package, device, cache, 0, error);
  if (status != FP_OK) return status;
  session->is_guest = 1;
  session->context = context;
  session->queue = queue;
  status = fp_memory_upload_constants(session, error);
  if (status != FP_OK) fp_session_close(session);
  return status;
}

static void release_kernels(fp_session* session) {
  const fp_api* api = &session->device->api;
  for (uint32_t i = 0; i < session->package->launch_count; ++i) {
    if (session->kernels[i] != NULL) api->clReleaseKernel(session->kernels[i]);
  }
  for (uint32_t i = 0; i < session->package->kernel_count; ++i) {
    if (session->programs[i] != NULL) api->clReleaseProgram(session->programs[i]);
  }
}

void fp_session_close(fp_session* session) {
  if (session->package == NULL) return;
  const fp_api* api = &session->device->api;
  if (session->queue != NULL) api->clFinish(session->queue);
  for (uint32_t i = 0; i < session->package->entry_count; ++i) {
    fp_recording_release(&session->recordings[i], session->device);
  }
  release_kernels(session);
  fp_memory_release(session);
  if (session->queue != NULL && !session->is_guest) api->clReleaseCommandQueue(session->queue);
  if (session->context != NULL && !session->is_guest) api->clReleaseContext(session->context);
  fp_session_abandon(session);
}

void fp_session_abandon(fp_session* session) {
  free(session->pools);
  free(session->constants);
  free(session->arenas);
  free(session->buffers);
  free(session->programs);
  free(session->is_compiled);
  free(session->kernels);
  free(session->recordings);
  free(session->events);
  free(session->secs);
  memset(session, 0, sizeof(*session));
}
