// The runtime module of kind "opencl": made by the compiler or read from a saved artifact, saved to the same bytes.
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/dtype.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>

#include <map>
#include <memory>

#include "error.h"
#include "kernel.h"
#include "serialize.h"

namespace fleetpose::opencl {
namespace {

namespace ffi = tvm::ffi;

// TVM's runtime.FunctionInfo, whose own header includes files that the wheel does not ship. The same type key and the
// same fields in the same order give the same object; tests/host checks it against a compiled module.
class FunctionInfoObj : public ffi::Object {
 public:
  ffi::String name;
  ffi::Array<DLDataType> arg_types;
  ffi::Array<ffi::String> launch_param_tags;
  ffi::Array<std::int64_t> arg_extra_tags;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("runtime.FunctionInfo", FunctionInfoObj, ffi::Object);
};

class FunctionInfo : public ffi::ObjectRef {
 public:
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(FunctionInfo, ffi::ObjectRef, FunctionInfoObj);
};

class OpenCLModule final : public ffi::ModuleObj {
 public:
  OpenCLModule(ModuleData data, ffi::Map<ffi::String, ffi::String> sources)
      : data_(std::move(data)), sources_(std::move(sources)) {
    const std::vector<std::string> parts = SplitSource(data_);
    for (std::size_t i = 0; i < parts.size(); ++i) source_of_[data_.kernels[i].key] = {i, parts[i]};
  }

  const char* kind() const final { return "opencl"; }

  int GetPropertyMask() const final { return ffi::Module::kBinarySerializable | ffi::Module::kRunnable; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    const auto found = source_of_.find(std::string(name));
    if (found == source_of_.end()) return std::nullopt;
    if (data_.format != "cl") Throw("OpenCL module in format \"" + data_.format + "\"; only \"cl\" can run");
    std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<Kernel>& kernel = kernels_[found->first];
    if (kernel == nullptr) {
      const auto& [index, source] = found->second;
      kernel = std::make_shared<Kernel>(data_.kernels[index], source);
    }
    return ffi::Function::FromPacked([kernel](ffi::PackedArgs args, ffi::Any*) { kernel->Launch(args); });
  }

  ffi::Bytes SaveToBytes() const final { return ffi::Bytes(Serialize(data_)); }

  ffi::String InspectSource(const ffi::String& format) const final {
    if (format.empty() || format == data_.format) return data_.code;
    const auto found = sources_.find(format);
    return found != sources_.end() ? (*found).second : ffi::String();
  }

 private:
  struct Section {
    std::size_t index;
    std::string source;
  };
  const ModuleData data_;
  const ffi::Map<ffi::String, ffi::String> sources_;  // other formats the compiler may hand over; not saved
  std::map<std::string, Section> source_of_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Kernel>> kernels_;
};

ffi::Module MakeModule(ModuleData data, ffi::Map<ffi::String, ffi::String> sources) {
  return ffi::Module(ffi::make_object<OpenCLModule>(std::move(data), std::move(sources)));
}

ffi::Module Create(const ffi::Bytes& code, const ffi::String& format,
                   const ffi::Map<ffi::String, FunctionInfo>& functions,
                   const ffi::Map<ffi::String, ffi::String>& sources) {
  ModuleData data;
  data.format = format;
  data.code.assign(code.data(), code.size());
  for (const auto& [key, info] : functions) {
    KernelInfo kernel;
    kernel.key = key;
    kernel.name = info->name;
    for (const DLDataType& type : info->arg_types) kernel.arg_types.push_back(type);
    for (const ffi::String& tag : info->launch_param_tags) kernel.launch_tags.push_back(tag);
    for (std::int64_t tag : info->arg_extra_tags) kernel.extra_tags.push_back(static_cast<std::int32_t>(tag));
    data.kernels.push_back(std::move(kernel));
  }
  return MakeModule(std::move(data), sources);
}

ffi::Module Load(const ffi::Bytes& bytes) {
  try {
    return MakeModule(Parse({bytes.data(), bytes.size()}), {});
  } catch (const MalformedModule& error) {
    Throw(error.what());
  }
}

TVM_FFI_STATIC_INIT_BLOCK() {
  constexpr bool kOverride = true;  // a fallback may stand there already
  ffi::Function::SetGlobal("ffi.Module.create.opencl", ffi::Function::FromTyped(Create), kOverride);
  ffi::Function::SetGlobal("ffi.Module.load_from_bytes.opencl", ffi::Function::FromTyped(Load), kOverride);
}

}  // namespace
}  // namespace fleetpose::opencl
