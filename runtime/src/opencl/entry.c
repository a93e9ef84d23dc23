#include "opencl/entry.h"

#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"
#include "opencl/programs.h"

static cl_int set_arguments(const fp_session* session, uint32_t entry, const fpk_launch* launch, cl_kernel kernel) {
  const fp_package* package = session->package;
  const uint32_t first_buffer = package->entries[entry].first_buffer;
  cl_int code = CL_SUCCESS;
  for (uint32_t i = 0; i < package->kernels[launch->kernel].arguments && code == CL_SUCCESS; ++i) {
    const fpk_argument* argument = &package->arguments[launch->first_argument + i];
    const cl_mem* memory = argument->kind == FPK_ARGUMENT_CONSTANT ? &session->constants[argument->index]
                                                                   : &session->buffers[first_buffer + argument->index];
    code = session->device->api.clSetKernelArg(kernel, i, sizeof(cl_mem), memory);
  }
  return code;
}

static fp_status make_launch(fp_session* session, uint32_t entry, uint32_t index, fp_error* error) {
  const fpk_launch* launch = &session->package->launches[index];
  if (session->kernels[index] != NULL) return FP_OK;
  const fp_status status = fp_programs_make(session, launch->kernel, error);
  if (status != FP_OK) return status;
  const fp_api* api = &session->device->api;
  const char* name = fp_package_string(session->package, session->package->kernels[launch->kernel].name);
  cl_int code = CL_SUCCESS;
  cl_kernel kernel = api->clCreateKernel(session->programs[launch->kernel], name, &code);
  if (kernel == NULL) return fp_fail_code(error, code, "clCreateKernel", name);
  code = set_arguments(session, entry, launch, kernel);
  if (code != CL_SUCCESS) {
    api->clReleaseKernel(kernel);
    return fp_fail_code(error, code, "clSetKernelArg", name);
  }
  session->kernels[index] = kernel;
  return FP_OK;
}

fp_status fp_entry_make_step(fp_session* session, uint32_t entry, uint32_t step, fp_error* error) {
  const fp_range range = fp_session_launches(session, step);
  for (uint32_t i = range.first; i < range.first + range.count; ++i) {
    const fp_status status = make_launch(session, entry, i, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}

cl_int fp_entry_enqueue_step(const fp_session* session, uint32_t step, cl_event* events) {
  const fp_range range = fp_session_launches(session, step);
  for (uint32_t i = 0; i < range.count; ++i) {
    const fp_launch_size size = fp_entry_launch_size(&session->package->launches[range.first + i]);
    const cl_int code = session->device->api.clEnqueueNDRangeKernel(session->queue, session->kernels[range.first + i],
                                                                    size.dimensions, NULL, size.global, size.local, 0,
                                                                    NULL, events != NULL ? &events[i] : NULL);
    if (code != CL_SUCCESS) return code;
  }
  return CL_SUCCESS;
}

/* The steps of an entry, one after the other; answers the step that the driver refused, or their end. */
static uint32_t enqueue_steps(fp_session* session, const fpk_entry* record, cl_int* code) {
  const uint32_t end = record->first_step + record->step_count;
  size_t launches = 0;
  for (uint32_t step = record->first_step; step < end; ++step) {
    *code = fp_entry_enqueue_step(session, step, session->secs != NULL ? session->events + launches : NULL);
    if (*code != CL_SUCCESS) return step;
    launches += fp_session_launches(session, step).count;
  }
  return end;
}

/* Runs what was recorded. What the driver does not run is not tried again: launches are enqueued from then on. */
static int play(fp_session* session, uint32_t entry) {
  fp_recording* recording = &session->recordings[entry];
  if (!fp_recording_is_made(recording)) return 0;
  if (fp_recording_enqueue(recording, session) == CL_SUCCESS) return 1;
  session->device->api.clFinish(session->queue); /* the input was enqueued, and perhaps some of the commands */
  fp_recording_release(recording, session->device);
  return 0;
}

static fp_status launch_all(fp_session* session, uint32_t entry, fp_error* error) {
  if (play(session, entry)) return FP_OK;
  cl_int code = CL_SUCCESS;
  const fpk_entry* record = &session->package->entries[entry];
  const uint32_t refused = enqueue_steps(session, record, &code);
  if (code == CL_SUCCESS) return FP_OK;
  char doing[120];
  snprintf(doing, sizeof(doing), "launching layer %.80s",
           fp_package_string(session->package, session->package->steps[refused].name));
  return fp_fail_code(error, code, "clEnqueueNDRangeKernel", doing);
}

/* The last read waits for all that was enqueued before it; without any, the queue is emptied. */
static fp_status fetch(fp_session* session, uint32_t entry, float* const* outputs, fp_error* error) {
  const fp_api* api = &session->device->api;
  const fpk_entry* record = &session->package->entries[entry];
  for (uint32_t i = 0; outputs != NULL && i < record->output_count; ++i) {
    const fpk_output* output = &session->package->outputs[record->first_output + i];
    if (outputs[i] == NULL) continue;
    const cl_mem memory = session->buffers[record->first_buffer + output->buffer];
    const uint64_t bytes = fp_tensor_bytes(output->channels, output->height, output->width, sizeof(float));
    const cl_int code = api->clEnqueueReadBuffer(session->queue, memory, CL_TRUE, 0, bytes, outputs[i], 0, NULL, NULL);
    if (code != CL_SUCCESS) return fp_fail_code(error, code, "clEnqueueReadBuffer", "fetching an output");
  }
  const cl_int code = api->clFinish(session->queue);
  return code == CL_SUCCESS ? FP_OK : fp_fail_code(error, code, "clFinish", "waiting for an inference");
}

/* 0 where the driver does not say, or says that a kernel ended before it started. */
static double event_secs(const fp_api* api, cl_event event) {
  cl_ulong start = 0, end = 0;
  if (api->clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof(start), &start, NULL) != CL_SUCCESS ||
      api->clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL) != CL_SUCCESS) {
    return 0;
  }
  return end > start ? (double)(end - start) * 1e-9 : 0;
}

/* Sums the times of each step's launches, and releases the events, also of an inference that failed. */
static void take_times(fp_session* session, uint32_t entry) {
  if (session->secs == NULL) return;
  const fp_api* api = &session->device->api;
  const fpk_entry* record = &session->package->entries[entry];
  cl_event* event = session->events;
  for (uint32_t step = record->first_step; step < record->first_step + record->step_count; ++step) {
    session->secs[step] = 0;
    for (uint32_t i = fp_session_launches(session, step).count; i > 0; --i, ++event) {
      if (*event == NULL) continue;
      session->secs[step] += event_secs(api, *event);
      api->clReleaseEvent(*event);
      *event = NULL;
    }
  }
}

fp_status fp_entry_run(fp_session* session, uint32_t entry, const float* input, float* const* outputs,
                       fp_error* error) {
  const fp_api* api = &session->device->api;
  const fpk_entry* record = &session->package->entries[entry];
  const uint64_t bytes = fp_tensor_bytes(record->channels, record->height, record->width, sizeof(float));
  const cl_mem memory = session->buffers[record->first_buffer + record->input];
  cl_int code = api->clEnqueueWriteBuffer(session->queue, memory, CL_FALSE, 0, bytes, input, 0, NULL, NULL);
  fp_status status = code == CL_SUCCESS ? launch_all(session, entry, error)
                                        : fp_fail_code(error, code, "clEnqueueWriteBuffer", "writing the input");
  if (status == FP_OK) {
    code = api->clFlush(session->queue);
    if (code != CL_SUCCESS) status = fp_fail_code(error, code, "clFlush", "starting an inference");
  }
  if (status == FP_OK) status = fetch(session, entry, outputs, error);
  if (status != FP_OK) api->clFinish(session->queue); /* the caller's input is read until then */
  take_times(session, entry);
  return status;
}
