// TVM's timer for OpenCL, and the profile of single launches.
#include <tvm/ffi/extra/json.h>
#include <tvm/ffi/function.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "device.h"
#include "error.h"
#include "timer_node.h"

namespace fleetpose::opencl {
namespace {

namespace ffi = tvm::ffi;
namespace json = tvm::ffi::json;

struct Sample {
  double event_secs, wall_secs;
  std::int64_t kernels;
};

// The latest timings nobody has asked for yet; the oldest go first, so that a process that never asks stays small.
constexpr std::size_t kMostSamples = 1 << 16;

std::mutex samples_mutex;
std::deque<Sample>& Samples() {
  static auto* samples = new std::deque<Sample>();
  return *samples;
}

// Between Start and Stop, sums the device's own time of every kernel launched on the device (by any thread), and the
// wall time from an idle queue to an idle queue. TVM is told the former; timer_samples() tells both.
class OpenCLTimer final : public tvm::runtime::TimerNode {
 public:
  explicit OpenCLTimer(Device* device) : device_(device) {}
  ~OpenCLTimer() final { Detach(); }

  void Start() final {
    device_->StartListening(&log_);
    listening_ = true;
    start_ = std::chrono::steady_clock::now();
  }

  void Stop() final {
    device_->Finish("timing");
    wall_ = std::chrono::steady_clock::now() - start_;
    Detach();
  }

  std::int64_t SyncAndGetElapsedNanos() final {
    const std::vector<KernelTimes> kernels = log_.Take();
    std::int64_t nanos = 0;
    for (const KernelTimes& one : kernels) nanos += static_cast<std::int64_t>(one.end_nanos - one.start_nanos);
    std::lock_guard<std::mutex> lock(samples_mutex);
    if (Samples().size() == kMostSamples) Samples().pop_front();
    Samples().push_back({static_cast<double>(nanos) * 1e-9, wall_.count(), static_cast<std::int64_t>(kernels.size())});
    return nanos;
  }

  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("fleetpose.OpenCLTimer", OpenCLTimer, tvm::runtime::TimerNode);

 private:
  void Detach() noexcept {
    if (listening_) device_->StopListening(&log_);
    listening_ = false;
  }

  Device* const device_;
  EventLog log_;
  bool listening_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::duration<double> wall_{0};
};

ffi::String TakeSamples() {
  json::Array list;
  std::lock_guard<std::mutex> lock(samples_mutex);
  for (const Sample& sample : Samples()) {
    json::Object one;
    one.Set("event_secs", sample.event_secs);
    one.Set("wall_secs", sample.wall_secs);
    one.Set("kernels", sample.kernels);
    list.push_back(one);
  }
  Samples().clear();
  return json::Stringify(list);
}

// The profile that runs on each device, if any.
std::mutex profiles_mutex;
std::map<int, std::unique_ptr<EventLog>>& Profiles() {
  static auto* profiles = new std::map<int, std::unique_ptr<EventLog>>();
  return *profiles;
}

int DeviceArgument(ffi::PackedArgs args) { return args.size() > 0 ? args[0].cast<int>() : 0; }

void StartProfile(int index) {
  Device& device = GetDevice(index);
  std::lock_guard<std::mutex> lock(profiles_mutex);
  if (Profiles().count(index) != 0) Throw("a profile already runs on opencl(" + std::to_string(index) + ")");
  auto log = std::make_unique<EventLog>();
  device.StartListening(log.get());
  Profiles()[index] = std::move(log);
}

ffi::String StopProfile(int index) {
  Device& device = GetDevice(index);
  std::unique_ptr<EventLog> log;
  {
    std::lock_guard<std::mutex> lock(profiles_mutex);
    const auto found = Profiles().find(index);
    if (found == Profiles().end()) Throw("no profile runs on opencl(" + std::to_string(index) + ")");
    log = std::move(found->second);
    Profiles().erase(found);
  }
  device.StopListening(log.get());
  const std::vector<KernelTimes> kernels = log->Take();
  const auto since_first = [&](std::uint64_t nanos) {
    return static_cast<double>(static_cast<std::int64_t>(nanos - kernels.front().queued_nanos)) * 1e-9;
  };
  json::Array list;
  for (const KernelTimes& kernel : kernels) {
    json::Object one;
    one.Set("kernel", ffi::String(*kernel.kernel));
    one.Set("queued_secs", since_first(kernel.queued_nanos));
    one.Set("start_secs", since_first(kernel.start_nanos));
    one.Set("end_secs", since_first(kernel.end_nanos));
    list.push_back(one);
  }
  return json::Stringify(list);
}

TVM_FFI_STATIC_INIT_BLOCK() {
  constexpr bool kOverride = true;
  ffi::Function::SetGlobal("runtime.timer.opencl", ffi::Function::FromTyped([](DLDevice device) {
                             return tvm::runtime::Timer(ffi::make_object<OpenCLTimer>(&GetDevice(device.device_id)));
                           }),
                           kOverride);
  ffi::Function::SetGlobal("fleetpose.opencl.timer_samples", ffi::Function::FromTyped(TakeSamples), kOverride);
  ffi::Function::SetGlobal(
      "fleetpose.opencl.profile_start",
      ffi::Function::FromPacked([](ffi::PackedArgs args, ffi::Any*) { StartProfile(DeviceArgument(args)); }),
      kOverride);
  ffi::Function::SetGlobal(
      "fleetpose.opencl.profile_stop",
      ffi::Function::FromPacked([](ffi::PackedArgs args, ffi::Any* rv) { *rv = StopProfile(DeviceArgument(args)); }),
      kOverride);
}

}  // namespace
}  // namespace fleetpose::opencl
