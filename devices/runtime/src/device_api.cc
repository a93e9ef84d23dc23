// TVM's DeviceAPI over the devices, buffers and copies of this folder, registered as device_api.opencl.
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/device_api.h>

#include <cstdlib>

#include "buffer.h"
#include "device.h"
#include "error.h"
#include "workspace.h"

namespace fleetpose::opencl {
namespace {

namespace ffi = tvm::ffi;
using tvm::runtime::DeviceAttrKind;

bool IsPlain(const ffi::Optional<ffi::String>& scope) {
  return !scope.has_value() || scope.value().empty() || scope.value() == "global";
}

// "OpenCL 3.0 PoCL ..." -> "3.0"
std::string VersionNumber(const std::string& version) {
  const std::string prefix = "OpenCL ";
  if (version.compare(0, prefix.size(), prefix) != 0) return version;
  return version.substr(prefix.size(), version.find(' ', prefix.size()) - prefix.size());
}

std::string DimensionList(const std::vector<std::size_t>& sizes) {
  std::string list = "[";
  for (std::size_t size : sizes) list += (list.size() > 1 ? ", " : "") + std::to_string(size);
  return list + "]";
}

ffi::Any Attribute(const DeviceFacts& facts, DeviceAttrKind kind) {
  const auto number = [](std::uint64_t value) { return ffi::Any(static_cast<std::int64_t>(value)); };
  switch (kind) {
    case tvm::runtime::kMaxThreadsPerBlock:
      return number(facts.max_work_group);
    case tvm::runtime::kWarpSize:
      return number(1);  // OpenCL 1.2 tells it per kernel only; code generation takes it from the device's profile
    case tvm::runtime::kMaxSharedMemoryPerBlock:
      return number(facts.local_bytes);
    case tvm::runtime::kComputeVersion:
      return ffi::String(VersionNumber(facts.version));
    case tvm::runtime::kDeviceName:
      return ffi::String(facts.name);
    case tvm::runtime::kMaxClockRate:
      return number(facts.clock_mhz * 1000);
    case tvm::runtime::kMultiProcessorCount:
      return number(facts.compute_units);
    case tvm::runtime::kMaxThreadDimensions:
      return ffi::String(DimensionList(facts.max_work_items));
    case tvm::runtime::kApiVersion: {
      const double version = std::strtod(VersionNumber(facts.version).c_str(), nullptr);
      return number(static_cast<std::uint64_t>(version * 100 + 0.5));  // 3.0 -> 300, as CL_TARGET_OPENCL_VERSION
    }
    case tvm::runtime::kDriverVersion:
      return ffi::String(facts.driver);
    case tvm::runtime::kL2CacheSizeBytes:
      return number(facts.cache_bytes);
    case tvm::runtime::kTotalGlobalMemory:
      return number(facts.global_bytes);
    case tvm::runtime::kImagePitchAlignment:
      return number(facts.image_pitch);
    default:  // registers, GCN architecture, free memory: OpenCL does not say
      return ffi::Any(nullptr);
  }
}

class OpenCLDeviceAPI final : public tvm::runtime::DeviceAPI {
 public:
  static OpenCLDeviceAPI* Global() {
    static auto* api = new OpenCLDeviceAPI();  // tensors may outlive static destruction
    return api;
  }

  void SetDevice(tvm::Device dev) final { SetCurrentDeviceIndex(dev.device_id); }

  void GetAttr(tvm::Device dev, DeviceAttrKind kind, ffi::Any* rv) final {
    if (kind == tvm::runtime::kExist) {
      *rv = static_cast<int>(DeviceExists(dev.device_id));
    } else {
      *rv = Attribute(GetDevice(dev.device_id).facts(), kind);
    }
  }

  std::size_t GetDataSize(const DLTensor& tensor, ffi::Optional<ffi::String> scope) final {
    if (IsPlain(scope)) return DeviceAPI::GetDataSize(tensor, scope);
    const ImageShape image = TextureShape(tensor.ndim, tensor.shape, tensor.dtype, scope.value());
    return image.width * image.height * image.texel_bytes;
  }

  void* AllocDataSpace(tvm::Device dev, std::size_t nbytes, std::size_t, DLDataType) final {
    return AllocateBuffer(&GetDevice(dev.device_id), nbytes);  // OpenCL aligns to its widest type, 128 bytes
  }

  void* AllocDataSpace(tvm::Device dev, int ndim, const std::int64_t* shape, DLDataType dtype,
                       ffi::Optional<ffi::String> scope) final {
    if (IsPlain(scope)) return DeviceAPI::AllocDataSpace(dev, ndim, shape, dtype, scope);
    return AllocateImage(&GetDevice(dev.device_id), ndim, shape, dtype, scope.value());
  }

  void FreeDataSpace(tvm::Device, void* data) final { Free(static_cast<Buffer*>(data)); }

  void CopyDataFromTo(DLTensor* from, DLTensor* to, TVMStreamHandle) final { Copy(*from, *to); }

  void StreamSync(tvm::Device dev, TVMStreamHandle) final {
    GetDevice(dev.device_id).Finish("waiting for the kernels");
  }

  void* AllocWorkspace(tvm::Device dev, std::size_t nbytes, DLDataType) final {
    return TakeWorkspace(&GetDevice(dev.device_id), nbytes);
  }

  void FreeWorkspace(tvm::Device, void* data) final { GiveBackWorkspace(static_cast<Buffer*>(data)); }
};

TVM_FFI_STATIC_INIT_BLOCK() {
  constexpr bool kOverride = true;  // ours, even if another backend came first
  ffi::Function::SetGlobal("device_api.opencl", ffi::Function::FromTyped([]() -> void* {
                             // Through the base: TVM casts this pointer back to DeviceAPI*.
                             return static_cast<tvm::runtime::DeviceAPI*>(OpenCLDeviceAPI::Global());
                           }),
                           kOverride);
}

}  // namespace
}  // namespace fleetpose::opencl
