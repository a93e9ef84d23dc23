// Events of launched kernels, kept for a timer or a profile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "library.h"

namespace fleetpose::opencl {

// When one kernel was queued, started and ended, in nanoseconds of the device's clock.
struct KernelTimes {
  std::shared_ptr<const std::string> kernel;
  std::uint64_t queued_nanos, start_nanos, end_nanos;
};

// Collects events in launch order; turns them into times in bulk, so that a long timing run does not hold one event
// per launch. Thread-safe.
class EventLog {
 public:
  EventLog() = default;
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // Retains `event`.
  void Append(cl_event event, const std::shared_ptr<const std::string>& kernel);

  // All times so far. Waits for the kernels; throws OpenCLError, with the kernel's name, if one failed.
  std::vector<KernelTimes> Take();

 private:
  struct Pending {
    cl_event event;
    std::shared_ptr<const std::string> kernel;
  };
  void HarvestFinished();  // with mutex_ held

  std::mutex mutex_;
  std::vector<Pending> pending_;
  std::vector<KernelTimes> times_;
};

}  // namespace fleetpose::opencl
