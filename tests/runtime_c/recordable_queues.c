/* Qualcomm's cl_qcom_recordable_queues as a layer over the libOpenCL that it is linked with, which has it not.
 *
 * A queue of the property alone records what is enqueued on it; a recording is played on another queue. The device says
 * that it has this extension, and no longer that it has cl_khr_command_buffer. A line on stderr counts recordings that
 * were played, and commands in them, at the end of the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/cl.h"

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))
enum { RECORDABLE = 1 << 30, MOST_COMMANDS = 64 };

typedef struct command {
  cl_kernel kernel;
  cl_uint dimensions;
  size_t global[3], local[3];
} command;

typedef struct recording {
  command commands[MOST_COMMANDS];
  unsigned count;
  int is_ended;
} recording;

/* The one queue that records, and what it is recording now. */
static cl_command_queue recorder;
static recording* current;
static unsigned played, commands;

static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "launches %u compilations %u calls 0\n", played, commands);
}

EXPORT cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void* value, size_t* needed) {
  static const char extensions[] = "cl_khr_global_int32_base_atomics cl_qcom_recordable_queues";
  if (what != CL_DEVICE_EXTENSIONS) return REAL(clGetDeviceInfo)(device, what, size, value, needed);
  if (needed != NULL) *needed = sizeof(extensions);
  if (value != NULL && size < sizeof(extensions)) return CL_INVALID_VALUE;
  if (value != NULL) memcpy(value, extensions, sizeof(extensions));
  return CL_SUCCESS;
}

EXPORT cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device,
                                             cl_command_queue_properties properties, cl_int* code) {
  if (properties != RECORDABLE) return REAL(clCreateCommandQueue)(context, device, properties, code);
  recorder = REAL(clCreateCommandQueue)(context, device, 0, code);
  return recorder;
}

EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t* offset,
                                     const size_t* global, const size_t* local, cl_uint count, const cl_event* events,
                                     cl_event* event) {
  if (queue != recorder) {
    return REAL(clEnqueueNDRangeKernel)(queue, kernel, dimensions, offset, global, local, count, events, event);
  }
  if (current == NULL || current->count == MOST_COMMANDS || event != NULL || count != 0) return CL_INVALID_OPERATION;
  command* added = &current->commands[current->count++];
  added->kernel = kernel;
  added->dimensions = dimensions;
  memcpy(added->global, global, dimensions * sizeof(size_t));
  memcpy(added->local, local, dimensions * sizeof(size_t));
  return CL_SUCCESS;
}

static recording* new_recording(cl_command_queue queue, cl_int* code) {
  *code = queue == recorder ? CL_SUCCESS : CL_INVALID_COMMAND_QUEUE;
  if (*code == CL_SUCCESS) current = calloc(1, sizeof(recording));
  return *code == CL_SUCCESS ? current : NULL;
}

static cl_int end_recording(recording* made) {
  if (getenv("NO_END") != NULL) return CL_OUT_OF_RESOURCES;
  made->is_ended = 1;
  current = NULL;
  return CL_SUCCESS;
}

static cl_int release_recording(recording* made) {
  if (current == made) current = NULL;
  free(made);
  return CL_SUCCESS;
}

static cl_int enqueue_recording(cl_command_queue queue, recording* made, size_t arguments,
                                const void* changed_arguments, size_t offsets, const void* changed_offsets,
                                size_t globals, const void* changed_globals, size_t locals, const void* changed_locals,
                                cl_uint count, const cl_event* events, cl_event* event) {
  if (!made->is_ended || queue == recorder) return CL_INVALID_OPERATION;
  if (arguments + offsets + globals + locals + count != 0 || event != NULL) return CL_INVALID_VALUE;
  if (changed_arguments != NULL || changed_offsets != NULL || changed_globals != NULL || changed_locals != NULL ||
      events != NULL) {
    return CL_INVALID_VALUE;
  }
  if (getenv("NO_PLAY") != NULL && played > 0) return CL_OUT_OF_RESOURCES;
  ++played;
  for (unsigned i = 0; i < made->count; ++i, ++commands) {
    const command* at = &made->commands[i];
    const cl_int code =
        REAL(clEnqueueNDRangeKernel)(queue, at->kernel, at->dimensions, NULL, at->global, at->local, 0, NULL, NULL);
    if (code != CL_SUCCESS) return code;
  }
  return CL_SUCCESS;
}

EXPORT void* clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char* name) {
  (void)platform;
  if (strcmp(name, "clNewRecordingQCOM") == 0) return (void*)new_recording;
  if (strcmp(name, "clEndRecordingQCOM") == 0) return (void*)end_recording;
  if (strcmp(name, "clReleaseRecordingQCOM") == 0) return (void*)release_recording;
  if (strcmp(name, "clEnqueueRecordingQCOM") == 0) return (void*)enqueue_recording;
  return NULL;
}
