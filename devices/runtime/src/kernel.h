// One kernel of a module: how its packed arguments become clSetKernelArg calls and a launch.
#pragma once

#include <tvm/ffi/function.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "buffer.h"
#include "serialize.h"

namespace fleetpose::opencl {

class Kernel {
 public:
  // `source` is built when the kernel is first launched on a device, not here.
  // Throws OpenCLError for argument types or launch tags that cannot be passed.
  Kernel(const KernelInfo& info, std::string source);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // Enqueue on the thread's current device. `args`: the kernel's own, in arg_types order, then one extent per launch
  // tag. A buffer is given as its data pointer (TVM's host code) or as a tensor (a direct call from Python).
  void Launch(tvm::ffi::PackedArgs args);

 private:
  struct Extent {
    bool block;  // block index (grid) or thread index (block)
    unsigned axis;
  };
  // What clSetKernelArg reads one argument from.
  struct Value {
    union {
      cl_mem memory;
      std::int64_t integer;  // narrower integers are read from its first bytes: all hosts here are little-endian
      float single;
      double real;
    };
    std::size_t size;
  };
  struct Grid {
    std::array<std::size_t, 3> global{1, 1, 1}, local{1, 1, 1};
  };

  Value Convert(const TVMFFIAny& arg, std::size_t index, const Device& device) const;
  Value ConvertBuffer(const TVMFFIAny& arg, std::size_t index, const Device& device) const;
  Grid ReadGrid(tvm::ffi::PackedArgs args) const;
  cl_kernel On(Device* device);
  [[noreturn]] void Refuse(std::size_t index, const std::string& why) const;
  std::string Describe(const Grid& grid, const Device& device) const;

  const std::shared_ptr<const std::string> name_;
  const std::vector<DLDataType> types_;
  const std::string source_;
  std::vector<Extent> extents_;
  unsigned work_dim_ = 1;
  std::mutex mutex_;
  std::vector<cl_kernel> built_;  // by device index
};

}  // namespace fleetpose::opencl
