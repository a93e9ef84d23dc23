/* A layer over the libOpenCL that it is linked with, for FLEETPOSE_LIBOPENCL: what it does not define is the library's own.
 *
 * FAULTS is a list such as "stall:twice refuse:add binaries": kernels by their names, whose launches
 *   corrupt  compute nothing,
 *   refuse   are refused,
 *   fail     end with an error,
 *   stall    never end,
 *   die      end the process;
 * "binaries" refuses every compiled program, "backwards" lets every launch end at 0 by its event. FAIL_CALL=N lets the N-th call fail of those below that make objects or
 * enqueue. At the end of the process a line on stderr counts launches, compilations and such calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opencl/cl.h"

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))
enum { KERNEL_FUNCTION_NAME = 0x1190 };

cl_event clCreateUserEvent(cl_context, cl_int*);
cl_int clSetUserEventStatus(cl_event, cl_int);
cl_int clGetKernelInfo(cl_kernel, cl_uint, size_t, void*, size_t*);
cl_int clGetCommandQueueInfo(cl_command_queue, cl_uint, size_t, void*, size_t*);
cl_int clEnqueueMarkerWithWaitList(cl_command_queue, cl_uint, const cl_event*, cl_event*);

static unsigned launches, compilations, calls;

static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "launches %u compilations %u calls %u\n", launches, compilations, calls);
}

static int is_asked_for(const char* fault, const char* kernel) {
  char word[160], faults[512];
  const char* all = getenv("FAULTS");
  snprintf(word, sizeof(word), " %s%s%s ", fault, kernel != NULL ? ":" : "", kernel != NULL ? kernel : "");
  snprintf(faults, sizeof(faults), " %s ", all != NULL ? all : "");
  return strstr(faults, word) != NULL;
}

/* Counts a call, and says whether it is the one that has to fail. */
static int fails_now(void) {
  const char* which = getenv("FAIL_CALL");
  const unsigned number = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  return which != NULL && number == (unsigned)atoi(which);
}

EXPORT cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info what, size_t size, void* value,
                                      size_t* needed) {
  const cl_int code = REAL(clGetEventProfilingInfo)(event, what, size, value, needed);
  if (what == CL_PROFILING_COMMAND_END && is_asked_for("backwards", NULL)) memset(value, 0, size);
  return code;
}

/* Calls that answer a code, and calls that answer an object and write a code. */
#define MAY_FAIL(name, parameters, ...)          \
  EXPORT cl_int name parameters {                \
    if (fails_now()) return CL_OUT_OF_RESOURCES; \
    return REAL(name)(__VA_ARGS__);              \
  }
#define MAY_MAKE_NOTHING(type, name, parameters, ...) \
  EXPORT type name parameters {                       \
    if (fails_now()) {                                \
      *code = CL_OUT_OF_HOST_MEMORY;                  \
      return NULL;                                    \
    }                                                 \
    return REAL(name)(__VA_ARGS__);                   \
  }

typedef void (*on_error)(const char*, const void*, size_t, void*);
MAY_MAKE_NOTHING(cl_context, clCreateContext,
                 (const cl_context_properties* properties, cl_uint count, const cl_device_id* devices, on_error tell,
                  void* data, cl_int* code),
                 properties, count, devices, tell, data, code)
MAY_MAKE_NOTHING(cl_command_queue, clCreateCommandQueue,
                 (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int* code),
                 context, device, properties, code)
MAY_MAKE_NOTHING(cl_mem, clCreateBuffer,
                 (cl_context context, cl_mem_flags flags, size_t size, void* memory, cl_int* code), context, flags,
                 size, memory, code)
MAY_MAKE_NOTHING(cl_mem, clCreateSubBuffer,
                 (cl_mem memory, cl_mem_flags flags, cl_buffer_create_type type, const void* region, cl_int* code),
                 memory, flags, type, region, code)
MAY_MAKE_NOTHING(cl_kernel, clCreateKernel, (cl_program program, const char* name, cl_int* code), program, name, code)
MAY_FAIL(clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void* value), kernel, index, size, value)
MAY_FAIL(clBuildProgram,
         (cl_program program, cl_uint count, const cl_device_id* devices, const char* options,
          void (*tell)(cl_program, void*), void* data),
         program, count, devices, options, tell, data)
MAY_FAIL(clEnqueueWriteBuffer,
         (cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset, size_t size, const void* from,
          cl_uint count, const cl_event* events, cl_event* event),
         queue, memory, waits, offset, size, from, count, events, event)
MAY_FAIL(clEnqueueReadBuffer,
         (cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset, size_t size, void* into, cl_uint count,
          const cl_event* events, cl_event* event),
         queue, memory, waits, offset, size, into, count, events, event)
MAY_FAIL(clEnqueueFillBuffer,
         (cl_command_queue queue, cl_mem memory, const void* pattern, size_t pattern_size, size_t offset, size_t size,
          cl_uint count, const cl_event* events, cl_event* event),
         queue, memory, pattern, pattern_size, offset, size, count, events, event)
MAY_FAIL(clFlush, (cl_command_queue queue), queue)
MAY_FAIL(clFinish, (cl_command_queue queue), queue)

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
  if (is_asked_for("refuse", name) || fails_now()) return CL_OUT_OF_RESOURCES;
  if (is_asked_for("die", name)) _exit(9);
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
  if (fails_now()) {
    *code = CL_OUT_OF_HOST_MEMORY;
    return NULL;
  }
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
