/* libOpenCL, opened at run time: the entry points that the runtime calls, and what their failures are called. */
#ifndef FLEETPOSE_OPENCL_API_H
#define FLEETPOSE_OPENCL_API_H

#include "fleetpose.h"
#include "opencl/cl.h"

#define FLEETPOSE_RUNTIME_FUNCTIONS(X) \
  X(clGetPlatformIDs)                  \
  X(clGetPlatformInfo)                 \
  X(clGetDeviceIDs)                    \
  X(clGetDeviceInfo)                   \
  X(clCreateContext)                   \
  X(clReleaseContext)                  \
  X(clCreateCommandQueue)              \
  X(clReleaseCommandQueue)             \
  X(clCreateBuffer)                    \
  X(clCreateSubBuffer)                 \
  X(clCreateImage)                     \
  X(clReleaseMemObject)                \
  X(clCreateProgramWithSource)         \
  X(clCreateProgramWithBinary)         \
  X(clBuildProgram)                    \
  X(clGetProgramInfo)                  \
  X(clGetProgramBuildInfo)             \
  X(clReleaseProgram)                  \
  X(clCreateKernel)                    \
  X(clReleaseKernel)                   \
  X(clSetKernelArg)                    \
  X(clEnqueueNDRangeKernel)            \
  X(clEnqueueReadBuffer)               \
  X(clEnqueueWriteBuffer)              \
  X(clEnqueueCopyBuffer)               \
  X(clEnqueueFillBuffer)               \
  X(clEnqueueReadImage)                \
  X(clEnqueueWriteImage)               \
  X(clGetEventInfo)                    \
  X(clGetEventProfilingInfo)           \
  X(clReleaseEvent)                    \
  X(clFlush)                           \
  X(clFinish)

typedef struct fp_api {
#define FLEETPOSE_DECLARE(name) __typeof__(&name) name;
  FLEETPOSE_RUNTIME_FUNCTIONS(FLEETPOSE_DECLARE)
#undef FLEETPOSE_DECLARE
  /* NULL where the library has it not: then there are no extensions */
  __typeof__(&clGetExtensionFunctionAddressForPlatform) clGetExtensionFunctionAddressForPlatform;
  char path[256]; /* of the library */
} fp_api;

/* Opens `path`; where that is NULL or "", FLEETPOSE_LIBOPENCL of the environment; where that is not set, the first of the
 * usual places whose library lists a platform. What was opened is never closed: drivers start threads that must not lose
 * their code. */
fp_status fp_api_open(fp_api* api, const char* path, fp_error* error);

/* "CL_OUT_OF_RESOURCES", or "an unknown error". */
const char* fp_code_name(cl_int code);

/* An error of an OpenCL call: FP_NO_MEMORY where it says so, else FP_DEVICE_ERROR. `doing` is what it was called for. */
fp_status fp_fail_code(fp_error* error, cl_int code, const char* call, const char* doing);

#endif
