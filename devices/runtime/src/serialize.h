// The bytes of a saved OpenCL module, as TVM's compiler writes them. Knows neither TVM nor OpenCL.
#pragma once

#include <dlpack/dlpack.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace fleetpose::opencl {

struct KernelInfo {
  std::string key;   // the name it is looked up by
  std::string name;  // the name of the __kernel; TVM makes them equal
  std::vector<DLDataType> arg_types;
  std::vector<std::string> launch_tags;  // "blockIdx.x", "threadIdx.y", ...
  std::vector<std::int32_t> extra_tags;
};

struct ModuleData {
  std::string format;               // "cl": OpenCL C
  std::vector<KernelInfo> kernels;  // in the order they were written: saving again must give the same bytes
  std::string code;
};

struct MalformedModule : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Little-endian: string format; u64 count of { key; name; u64 n, n x (u8 code, u8 bits, u16 lanes); u64 n, n x string;
// u64 n, n x i32 }; string code. A string is a u64 length and its bytes.
std::string Serialize(const ModuleData& module);

// Throws MalformedModule for bytes that are truncated, have something left over, or claim more than is there.
ModuleData Parse(std::string_view bytes);

// The source of each kernel: the part of `code` from its "// Function: NAME" line to the next such line, with whatever
// stands before the first of these lines in front, and without forward declarations of kernels. A kernel without such a
// line gets all of `code`.
std::vector<std::string> SplitSource(const ModuleData& module);

}  // namespace fleetpose::opencl
