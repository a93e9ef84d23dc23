// libOpenCL, opened at run time: where it is looked for, and the table of the entry points this backend calls.
//
// Nothing here links OpenCL, so that the same wheel loads on machines (and phones) with no OpenCL at all.
#pragma once

#include <string>
#include <vector>

#include "opencl/cl.h"

namespace fleetpose::opencl {

// Every OpenCL function this backend calls; the table below and its loader are generated from this one list.
#define FLEETPOSE_OPENCL_FUNCTIONS(X) \
  X(clGetPlatformIDs)                 \
  X(clGetPlatformInfo)                \
  X(clGetDeviceIDs)                   \
  X(clGetDeviceInfo)                  \
  X(clCreateContext)                  \
  X(clCreateCommandQueue)             \
  X(clCreateBuffer)                   \
  X(clCreateImage)                    \
  X(clReleaseMemObject)               \
  X(clCreateProgramWithSource)        \
  X(clCreateProgramWithBinary)        \
  X(clBuildProgram)                   \
  X(clGetProgramInfo)                 \
  X(clGetProgramBuildInfo)            \
  X(clReleaseProgram)                 \
  X(clCreateKernel)                   \
  X(clReleaseKernel)                  \
  X(clSetKernelArg)                   \
  X(clEnqueueNDRangeKernel)           \
  X(clEnqueueReadBuffer)              \
  X(clEnqueueWriteBuffer)             \
  X(clEnqueueCopyBuffer)              \
  X(clEnqueueReadImage)               \
  X(clEnqueueWriteImage)              \
  X(clEnqueueCopyImage)               \
  X(clEnqueueCopyImageToBuffer)       \
  X(clEnqueueCopyBufferToImage)       \
  X(clWaitForEvents)                  \
  X(clGetEventInfo)                   \
  X(clGetEventProfilingInfo)          \
  X(clRetainEvent)                    \
  X(clReleaseEvent)                   \
  X(clFinish)

struct Api {
#define FLEETPOSE_DECLARE(name) decltype(&::name) name = nullptr;
  FLEETPOSE_OPENCL_FUNCTIONS(FLEETPOSE_DECLARE)
#undef FLEETPOSE_DECLARE
};

// The outcome of the search: either `api` is complete and `path` says from where, or `failure` says what was tried.
struct Library {
  Api api;
  std::string path;
  std::string failure;
  bool loaded() const { return failure.empty(); }
};

// Search once per process, on first use, never at load. FLEETPOSE_LIBOPENCL, if set, is the only path tried, or "pip" for
// what pip has installed. Otherwise the system's loader is tried, then pip's (see OfferPipLibrary), then phone vendor
// paths. A library that lists no platform is passed over. Never throws.
const Library& GetLibrary();

// The entry points. Throws OpenCLError, naming what was searched, when there is no usable libOpenCL.
const Api& GetApi();

// Tells the search of one more library that pip has installed: its path and, for the ICD loader that pyopencl carries,
// pyopencl's folder and the ICD file or folder ("" if none). They are tried in the order of the calls. Only before the
// first use; the Python side calls it through fleetpose_opencl_offer_pip_library.
void OfferPipLibrary(std::string library, std::string home, std::string vendors);

}  // namespace fleetpose::opencl
