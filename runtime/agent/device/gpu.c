#include "agent/device/gpu.h"

#include "core/error.h"

enum { HARVEST_AT = 1024 };

static fp_status make_queue(agent_gpu* gpu, int is_profiled, fp_error* error) {
  cl_int code = CL_SUCCESS;
  if (gpu->queues[is_profiled] != NULL) return FP_OK;
  const cl_command_queue_properties properties = is_profiled ? CL_QUEUE_PROFILING_ENABLE : 0;
  gpu->queues[is_profiled] = gpu->device.api.clCreateCommandQueue(gpu->context, gpu->device.id, properties, &code);
  if (code == CL_SUCCESS) return FP_OK;
  gpu->queues[is_profiled] = NULL;
  return fp_fail_code(error, code, "clCreateCommandQueue", gpu->device.line);
}

fp_status agent_gpu_open(agent_gpu* gpu, fp_error* error) {
  const fp_options usual = {.size = sizeof(fp_options)};
  if (gpu->is_open) return FP_OK;
  const fp_status status = fp_device_find(&gpu->device, &usual, error);
  if (status != FP_OK) return status;
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)gpu->device.platform, 0};
  cl_int code = CL_SUCCESS;
  gpu->context = gpu->device.api.clCreateContext(properties, 1, &gpu->device.id, NULL, NULL, &code);
  if (code != CL_SUCCESS) return fp_fail_code(error, code, "clCreateContext", gpu->device.line);
  gpu->is_open = make_queue(gpu, 0, error) == FP_OK;
  if (!gpu->is_open) gpu->device.api.clReleaseContext(gpu->context);
  return gpu->is_open ? FP_OK : FP_DEVICE_ERROR;
}

fp_status agent_gpu_finish(agent_gpu* gpu, const char* doing, fp_error* error) {
  const cl_int code = gpu->device.api.clFinish(agent_gpu_queue(gpu));
  return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clFinish", doing);
}

fp_status agent_gpu_listen(agent_gpu* gpu, fp_error* error) {
  fp_status status = agent_gpu_finish(gpu, "starting to time", error);
  if (status == FP_OK) status = make_queue(gpu, 1, error);
  if (status == FP_OK) status = agent_gpu_take_times(gpu, error);
  if (status == FP_OK) ++gpu->listeners;
  return status;
}

void agent_gpu_stop_listening(agent_gpu* gpu) {
  gpu->device.api.clFinish(agent_gpu_queue(gpu));
  --gpu->listeners;
}

static uint64_t stamp(const agent_gpu* gpu, cl_event event, cl_profiling_info what, cl_int* code) {
  cl_ulong nanos = 0;
  const cl_int answer = gpu->device.api.clGetEventProfilingInfo(event, what, sizeof(nanos), &nanos, NULL);
  if (answer != CL_SUCCESS) *code = answer;
  return nanos;
}

static void add_to_profile(agent_gpu* gpu, const char* kernel, uint64_t queued, uint64_t start, uint64_t end) {
  if (gpu->first_queued == 0) gpu->first_queued = queued;
  const double since = (double)gpu->first_queued;
  agent_bytes_format(&gpu->profile, gpu->profile.size > 1 ? ", {" : "{");
  agent_json_text_of(&gpu->profile, "kernel", kernel);
  agent_json_number_of(&gpu->profile, "queued_secs", ((double)queued - since) * 1e-9);
  agent_json_number_of(&gpu->profile, "start_secs", ((double)start - since) * 1e-9);
  agent_json_number_of(&gpu->profile, "end_secs", ((double)end - since) * 1e-9);
  agent_bytes_format(&gpu->profile, "}");
}

/* CL_COMPLETE, more while it is on its way, less where it has failed. */
static cl_int state_of(const agent_gpu* gpu, cl_event event) {
  cl_int state = CL_COMPLETE;
  const cl_int code =
      gpu->device.api.clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(state), &state, NULL);
  return code == CL_SUCCESS ? state : code;
}

/* Takes the times of a launch that has ended, and gives its event back. */
static fp_status take_one(agent_gpu* gpu, fp_error* error) {
  const agent_event item = gpu->events[gpu->first_event++];
  const cl_int state = state_of(gpu, item.event);
  cl_int code = state < 0 ? state : CL_SUCCESS;
  const uint64_t queued = stamp(gpu, item.event, CL_PROFILING_COMMAND_QUEUED, &code);
  const uint64_t start = stamp(gpu, item.event, CL_PROFILING_COMMAND_START, &code);
  const uint64_t end = stamp(gpu, item.event, CL_PROFILING_COMMAND_END, &code);
  gpu->device.api.clReleaseEvent(item.event);
  if (code != CL_SUCCESS) return fp_fail_code(error, state < 0 ? state : code, "running kernel", item.kernel);
  if (end < start) {
    return fp_fail(error, FP_DEVICE_ERROR, "the driver says that kernel %.80s ended before it started", item.kernel);
  }
  gpu->nanos += (double)(end - start);
  ++gpu->kernels;
  if (gpu->is_profiling) add_to_profile(gpu, item.kernel, queued, start, end);
  return FP_OK;
}

fp_status agent_gpu_take_times(agent_gpu* gpu, fp_error* error) {
  fp_status status = FP_OK;
  if (gpu->first_event < gpu->event_count) gpu->device.api.clFinish(gpu->queues[1]);
  while (gpu->first_event < gpu->event_count) {
    const fp_status taken = take_one(gpu, status == FP_OK ? error : NULL);
    if (status == FP_OK) status = taken;
  }
  gpu->first_event = gpu->event_count = 0;
  return status;
}

/* So that a long run does not hold an event for each of its launches. */
static fp_status take_ended(agent_gpu* gpu, fp_error* error) {
  fp_status status = FP_OK;
  while (status == FP_OK && gpu->first_event < gpu->event_count &&
         state_of(gpu, gpu->events[gpu->first_event].event) <= CL_COMPLETE) {
    status = take_one(gpu, error);
  }
  gpu->event_count -= gpu->first_event;
  memmove(gpu->events, gpu->events + gpu->first_event, gpu->event_count * sizeof(agent_event));
  gpu->first_event = 0;
  return status;
}

fp_status agent_gpu_note(agent_gpu* gpu, cl_event event, const char* kernel, fp_error* error) {
  fp_status status = FP_OK;
  if (gpu->event_count > 0 && gpu->event_count % HARVEST_AT == 0) status = take_ended(gpu, error);
  if (gpu->event_count == gpu->event_room) {
    const size_t room = gpu->event_room == 0 ? HARVEST_AT : 2 * gpu->event_room;
    agent_event* events = realloc(gpu->events, room * sizeof(agent_event));
    if (events == NULL) {
      gpu->device.api.clReleaseEvent(event);
      return fp_fail(error, FP_NO_MEMORY, "no memory for the times of %zu launches", gpu->event_count);
    }
    gpu->events = events;
    gpu->event_room = room;
  }
  gpu->events[gpu->event_count++] = (agent_event){event, kernel};
  return status;
}
