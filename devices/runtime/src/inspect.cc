// What this machine offers, for devices.doctor and for records: fleetpose.opencl.devices, .library, .cache_stats.
#include <tvm/ffi/extra/json.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <sstream>

#include "cache.h"
#include "device.h"
#include "error.h"
#include "program.h"

namespace fleetpose::opencl {
namespace {

namespace ffi = tvm::ffi;
namespace json = tvm::ffi::json;

ffi::String TypeName(cl_device_type type) {
  if ((type & CL_DEVICE_TYPE_GPU) != 0) return "gpu";
  if ((type & CL_DEVICE_TYPE_CPU) != 0) return "cpu";
  if ((type & CL_DEVICE_TYPE_ACCELERATOR) != 0) return "accelerator";
  return "custom";
}

json::Object Describe(const Device& device) {
  const DeviceFacts& facts = device.facts();
  json::Object one;
  const auto text = [&](const char* key, const std::string& value) { one.Set(key, ffi::String(value)); };
  const auto number = [&](const char* key, std::uint64_t value) { one.Set(key, static_cast<std::int64_t>(value)); };
  one.Set("index", std::int64_t{device.index()});
  text("platform", facts.platform);
  text("platform_version", facts.platform_version);
  text("name", facts.name);
  text("vendor", facts.vendor);
  text("driver", facts.driver);
  text("version", facts.version);
  one.Set("type", TypeName(facts.type));
  number("compute_units", facts.compute_units);
  number("clock_mhz", facts.clock_mhz);
  number("max_work_group", facts.max_work_group);
  number("vector_width", facts.vector_width);
  number("local_bytes", facts.local_bytes);
  number("global_bytes", facts.global_bytes);
  number("max_alloc_bytes", facts.max_alloc_bytes);
  json::Array extensions;
  std::istringstream words(facts.extensions);
  for (std::string word; words >> word;) extensions.push_back(ffi::String(word));
  one.Set("extensions", extensions);
  one.Set("fp16", facts.fp16);
  one.Set("image2d", facts.image2d);
  return one;
}

ffi::String DevicesJson() {
  json::Array list;
  for (const auto& device : AllDevices()) list.push_back(Describe(*device));
  return json::Stringify(list);
}

ffi::String LibraryPath() {
  GetApi();  // throws, with what was tried, when there is none
  return GetLibrary().path;
}

ffi::String CacheStats() {
  const ProgramStats stats = GetProgramStats();
  json::Object one;
  const auto number = [&](const char* key, std::uint64_t value) { one.Set(key, static_cast<std::int64_t>(value)); };
  number("hits", stats.hits);
  number("misses", stats.misses);
  number("rejected", stats.rejected);
  number("noted", stats.noted);
  number("stored", stats.stored);
  number("not_stored", stats.not_stored);
  one.Set("build_secs", stats.build_secs);
  one.Set("directory", ffi::String(CacheDirectory()));
  one.Set("unwritable", ffi::String(UnwritableCacheDirectory()));
  return json::Stringify(one);
}

TVM_FFI_STATIC_INIT_BLOCK() {
  constexpr bool kOverride = true;
  ffi::Function::SetGlobal("fleetpose.opencl.devices", ffi::Function::FromTyped(DevicesJson), kOverride);
  ffi::Function::SetGlobal("fleetpose.opencl.library", ffi::Function::FromTyped(LibraryPath), kOverride);
  ffi::Function::SetGlobal("fleetpose.opencl.cache_stats", ffi::Function::FromTyped(CacheStats), kOverride);
  ffi::Function::SetGlobal("fleetpose.opencl.reset_cache_stats", ffi::Function::FromTyped(ResetProgramStats),
                           kOverride);
  // The bytes export_library would put into an artifact for this one module; TVM itself has no such function.
  ffi::Function::SetGlobal("fleetpose.opencl.module_bytes",
                           ffi::Function::FromTyped([](const ffi::Module& module) { return module->SaveToBytes(); }),
                           kOverride);
}

}  // namespace
}  // namespace fleetpose::opencl
