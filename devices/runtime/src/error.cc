#include "error.h"

#include <tvm/ffi/error.h>

#include "opencl/codes.h"

namespace fleetpose::opencl {

std::string CodeName(cl_int code) {
#define FLEETPOSE_CODE(name) \
  case name:                 \
    return #name;
  switch (code) {
    FLEETPOSE_OPENCL_CODES(FLEETPOSE_CODE)
    case -1001:  // cl_khr_icd, not in cl.h
      return "CL_PLATFORM_NOT_FOUND_KHR";
    default:
      return "OpenCL error " + std::to_string(code);
  }
#undef FLEETPOSE_CODE
}

void Throw(const std::string& message) { TVM_FFI_THROW(OpenCLError) << message; }

void ThrowCode(cl_int code, const char* call, const std::string& doing) {
  Throw(CodeName(code) + " from " + call + (doing.empty() ? "" : " while " + doing));
}

}  // namespace fleetpose::opencl
