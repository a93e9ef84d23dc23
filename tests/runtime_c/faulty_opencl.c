/* A layer over the libOpenCL that it is linked with, for FLEETPOSE_LIBOPENCL: what it does not define is the library's own.
 *
 * FAULTS is a list such as "stall:twice refuse:add binaries": kernels by their names, whose launches
 *   corrupt  compute nothing,
 *   refuse   are refused,
 *   fail     end with an error,
 *   stall    never end;
 * "binaries" refuses every compiled program. At the end of the process a line on stderr counts launches and compilations.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opencl/cl.h"

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))
enum { KERNEL_FUNCTION_NAME = 0x1190 };

cl_event clCreateUserEvent(cl_context, cl_int*);
cl_int clSetUserEventStatus(cl_event, cl_int);
cl_int clGetKernelInfo(cl_kernel, cl_uint, size_t, void*, size_t*);
cl_int clGetCommandQueueInfo(cl_command_queue, cl_uint, size_t, void*, size_t*);
cl_int clEnqueueMarkerWithWaitList(cl_command_queue, cl_uint, const cl_event*, cl_event*);

static unsigned launches, compilations;

static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "launches %u compilations %u\n", __atomic_load_n(&launches, __ATOMIC_RELAXED), compilations);
}

static int is_asked_for(const char* fault, const char* kernel) {
  char word[160], faults[512];
  const char* all = getenv("FAULTS");
  snprintf(word, sizeof(word), " %s%s%s ", fault, kernel != NULL ? ":" : "", kernel != NULL ? kernel : "");
  snprintf(faults, sizeof(faults), " %s ", all != NULL ? all : "");
  return strstr(faults, word) != NULL;
}

static cl_event user_event(cl_command_queue queue) {
  cl_context context = NULL;
  cl_int code = CL_SUCCESS;
  clGetCommandQueueInfo(queue, 0x1090, sizeof(cl_context), &context, NULL); /* CL_QUEUE_CONTEXT */
  cl_event event = clCreateUserEvent(context, &code);
  if (code != CL_SUCCESS) abort();
  return event;
}

EXPORT cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t* offset,
                                     const size_t* global, const size_t* local, cl_uint count, const cl_event* events,
                                     cl_event* event) {
  char name[128] = "";
  clGetKernelInfo(kernel, KERNEL_FUNCTION_NAME, sizeof(name), name, NULL);
  __atomic_fetch_add(&launches, 1, __ATOMIC_RELAXED);
  if (is_asked_for("refuse", name)) return CL_OUT_OF_RESOURCES;
  if (is_asked_for("corrupt", name)) return clEnqueueMarkerWithWaitList(queue, 0, NULL, event);
  if (is_asked_for("fail", name) && event != NULL) {
    *event = user_event(queue);
    return clSetUserEventStatus(*event, CL_OUT_OF_RESOURCES);
  }
  cl_event never = NULL;
  if (is_asked_for("stall", name)) {
    never = user_event(queue);
    count = 1;
    events = &never;
  }
  return REAL(clEnqueueNDRangeKernel)(queue, kernel, dimensions, offset, global, local, count, events, event);
}

EXPORT cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char** texts, const size_t* sizes,
                                            cl_int* code) {
  ++compilations;
  return REAL(clCreateProgramWithSource)(context, count, texts, sizes, code);
}

EXPORT cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id* devices,
                                            const size_t* sizes, const unsigned char** binaries, cl_int* status,
                                            cl_int* code) {
  if (is_asked_for("binaries", NULL)) {
    *code = CL_INVALID_BINARY;
    return NULL;
  }
  return REAL(clCreateProgramWithBinary)(context, count, devices, sizes, binaries, status, code);
}
