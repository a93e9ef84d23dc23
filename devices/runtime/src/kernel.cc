#include "kernel.h"

#include <tvm/ffi/container/tensor.h>

#include <algorithm>

#include "error.h"
#include "program.h"

namespace fleetpose::opencl {
namespace {

bool Supported(DLDataType type) {
  if (type.lanes != 1) return false;
  switch (type.code) {
    case kDLOpaqueHandle:
      return true;
    case kDLInt:
    case kDLUInt:
    case kDLBool:
      return type.bits == 1 || type.bits == 8 || type.bits == 16 || type.bits == 32 || type.bits == 64;
    case kDLFloat:
      return type.bits == 32 || type.bits == 64;
    default:
      return false;
  }
}

}  // namespace

Kernel::Kernel(const KernelInfo& info, std::string source)
    : name_(std::make_shared<const std::string>(info.name)), types_(info.arg_types), source_(std::move(source)) {
  for (std::size_t i = 0; i < types_.size(); ++i) {
    if (!Supported(types_[i])) {
      Refuse(i, "of type code " + std::to_string(types_[i].code) + ", " + std::to_string(types_[i].bits) + " bits x " +
                    std::to_string(types_[i].lanes) + " lanes, cannot be passed to OpenCL");
    }
  }
  for (const std::string& tag : info.launch_tags) {
    const bool block = tag.compare(0, 9, "blockIdx.") == 0 && tag.size() == 10;
    const bool thread = tag.compare(0, 10, "threadIdx.") == 0 && tag.size() == 11;
    const char axis = block || thread ? tag.back() : '\0';
    if (axis < 'x' || axis > 'z') Throw("kernel " + *name_ + " has launch tag \"" + tag + "\", unknown to OpenCL");
    extents_.push_back({block, static_cast<unsigned>(axis - 'x')});
    work_dim_ = std::max(work_dim_, extents_.back().axis + 1);
  }
}

Kernel::~Kernel() {
  if (ForkedAway()) return;  // they are the parent's to release
  for (cl_kernel kernel : built_) {
    if (kernel != nullptr) GetApi().clReleaseKernel(kernel);
  }
}

void Kernel::Refuse(std::size_t index, const std::string& why) const {
  Throw("argument " + std::to_string(index) + " of kernel " + *name_ + " " + why);
}

Kernel::Value Kernel::ConvertBuffer(const TVMFFIAny& arg, std::size_t index, const Device& device) const {
  const Buffer* buffer = nullptr;
  if (arg.type_index == kTVMFFIOpaquePtr) {
    buffer = static_cast<const Buffer*>(arg.v_ptr);
  } else if (arg.type_index == kTVMFFIDLTensorPtr || arg.type_index == kTVMFFITensor) {
    const DLTensor* tensor = arg.type_index == kTVMFFITensor ? TVMFFITensorGetDLTensorPtr(arg.v_obj)
                                                             : static_cast<const DLTensor*>(arg.v_ptr);
    if (tensor->device.device_type != kDLOpenCL) Refuse(index, "is a tensor that is not on an OpenCL device");
    if (tensor->byte_offset != 0) Refuse(index, "is a view with an offset, which OpenCL cannot express");
    buffer = static_cast<const Buffer*>(tensor->data);
  } else if (arg.type_index != kTVMFFINone) {
    Refuse(index, "should be device memory");
  }
  Value value{};
  value.size = sizeof(cl_mem);
  if (buffer != nullptr) {
    if (buffer->device != &device) {
      Refuse(index, "is memory of opencl(" + std::to_string(buffer->device->index()) + "), launched on opencl(" +
                        std::to_string(device.index()) + ")");
    }
    value.memory = buffer->memory;
  }
  return value;
}

Kernel::Value Kernel::Convert(const TVMFFIAny& arg, std::size_t index, const Device& device) const {
  const DLDataType type = types_[index];
  if (type.code == kDLOpaqueHandle) return ConvertBuffer(arg, index, device);
  const bool integral = arg.type_index == kTVMFFIInt || arg.type_index == kTVMFFIBool;
  Value value{};
  value.size = std::max<std::size_t>(type.bits / 8, 1);
  if (type.code != kDLFloat) {
    if (!integral) Refuse(index, "should be an integer");
    value.integer = arg.v_int64;
    return value;
  }
  if (!integral && arg.type_index != kTVMFFIFloat) Refuse(index, "should be a number");
  const double number = integral ? static_cast<double>(arg.v_int64) : arg.v_float64;
  if (type.bits == 32) {
    value.single = static_cast<float>(number);
  } else {
    value.real = number;
  }
  return value;
}

Kernel::Grid Kernel::ReadGrid(tvm::ffi::PackedArgs args) const {
  const auto* raw = reinterpret_cast<const TVMFFIAny*>(args.data());
  Grid grid;
  for (std::size_t i = 0; i < extents_.size(); ++i) {
    const TVMFFIAny& extent = raw[types_.size() + i];
    if (extent.type_index != kTVMFFIInt || extent.v_int64 < 0) {
      Throw("launch extent " + std::to_string(i) + " of kernel " + *name_ + " should be an integer of at least 0");
    }
    auto& sizes = extents_[i].block ? grid.global : grid.local;
    sizes[extents_[i].axis] = static_cast<std::size_t>(extent.v_int64);
  }
  for (std::size_t axis = 0; axis < 3; ++axis) grid.global[axis] *= grid.local[axis];
  return grid;
}

cl_kernel Kernel::On(Device* device) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto index = static_cast<std::size_t>(device->index());
  if (built_.size() <= index) built_.resize(index + 1);
  if (built_[index] != nullptr) return built_[index];
  cl_program program = BuildProgram(device, source_, *name_);
  cl_int code = CL_SUCCESS;
  cl_kernel kernel = GetApi().clCreateKernel(program, name_->c_str(), &code);
  GetApi().clReleaseProgram(program);  // the kernel keeps it
  if (code != CL_SUCCESS) ThrowCode(code, "clCreateKernel", "creating kernel " + *name_);
  built_[index] = kernel;
  return kernel;
}

std::string Kernel::Describe(const Grid& grid, const Device& device) const {
  const auto list = [&](const std::array<std::size_t, 3>& sizes) {
    std::string text = "(";
    for (unsigned axis = 0; axis < work_dim_; ++axis) text += (axis > 0 ? ", " : "") + std::to_string(sizes[axis]);
    return text + ")";
  };
  return "launching kernel " + *name_ + " with global size " + list(grid.global) + ", local size " + list(grid.local) +
         " on " + device.facts().name + " (largest work-group " + std::to_string(device.facts().max_work_group) + ")";
}

void Kernel::Launch(tvm::ffi::PackedArgs args) {
  if (static_cast<std::size_t>(args.size()) != types_.size() + extents_.size()) {
    Throw("kernel " + *name_ + " takes " + std::to_string(types_.size()) + " arguments and " +
          std::to_string(extents_.size()) + " launch extents, not " + std::to_string(args.size()) + " values");
  }
  const Grid grid = ReadGrid(args);
  if (std::find(grid.global.begin(), grid.global.end(), 0U) != grid.global.end()) return;  // nothing to do
  Device& device = GetDevice(CurrentDeviceIndex());
  cl_kernel kernel = On(&device);
  const auto* raw = reinterpret_cast<const TVMFFIAny*>(args.data());

  const Device::Held held = device.Hold();  // a cl_kernel's arguments are state shared by all threads
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const Value value = Convert(raw[i], i, device);
    OPENCL_CALL("setting argument " + std::to_string(i) + " of kernel " + *name_, clSetKernelArg, kernel,
                static_cast<cl_uint>(i), value.size, &value.memory);
  }
  const bool listening = device.Listening();
  cl_event event = nullptr;
  OPENCL_CALL(Describe(grid, device), clEnqueueNDRangeKernel, held.queue, kernel, work_dim_, nullptr,
              grid.global.data(), grid.local.data(), 0, nullptr, listening ? &event : nullptr);
  if (listening) device.Record(event, name_);
}

}  // namespace fleetpose::opencl
