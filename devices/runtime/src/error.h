// Failures of OpenCL calls, as exceptions TVM carries to Python: the code's name, the call, and what was being done.
#pragma once

#include <string>

#include "library.h"

namespace fleetpose::opencl {

// "CL_OUT_OF_RESOURCES"; "OpenCL error -9999" for a code outside the standard.
std::string CodeName(cl_int code);

// Throw tvm::ffi::Error of kind "OpenCLError".
[[noreturn]] void Throw(const std::string& message);
[[noreturn]] void ThrowCode(cl_int code, const char* call, const std::string& doing);

// Call an OpenCL function that returns its code; `doing` is evaluated only on failure, so it may build a string.
#define OPENCL_CALL(doing, function, ...)                                                 \
  do {                                                                                    \
    const cl_int opencl_call_code_ = ::fleetpose::opencl::GetApi().function(__VA_ARGS__); \
    if (opencl_call_code_ != CL_SUCCESS) {                                                \
      ::fleetpose::opencl::ThrowCode(opencl_call_code_, #function, (doing));              \
    }                                                                                     \
  } while (0)

}  // namespace fleetpose::opencl
