#include "events.h"

#include "error.h"

namespace fleetpose::opencl {
namespace {

// Beyond this many open events, times of finished kernels are read out and their events given back to the driver.
constexpr std::size_t kMaxPending = 1024;

std::uint64_t Stamp(cl_event event, cl_profiling_info what, const std::string& kernel) {
  cl_ulong nanos = 0;
  OPENCL_CALL("reading the times of kernel " + kernel, clGetEventProfilingInfo, event, what, sizeof(nanos), &nanos,
              nullptr);
  return nanos;
}

KernelTimes Read(cl_event event, std::shared_ptr<const std::string> kernel) {
  const std::uint64_t queued = Stamp(event, CL_PROFILING_COMMAND_QUEUED, *kernel);
  const std::uint64_t start = Stamp(event, CL_PROFILING_COMMAND_START, *kernel);
  const std::uint64_t end = Stamp(event, CL_PROFILING_COMMAND_END, *kernel);
  return {std::move(kernel), queued, start, end};
}

// CL_COMPLETE (0), a positive code while on its way, a negative error code when the kernel failed.
cl_int Status(cl_event event, const std::string& kernel) {
  cl_int status = CL_COMPLETE;
  OPENCL_CALL("asking for the status of kernel " + kernel, clGetEventInfo, event, CL_EVENT_COMMAND_EXECUTION_STATUS,
              sizeof(status), &status, nullptr);
  return status;
}

}  // namespace

EventLog::~EventLog() {
  for (const Pending& one : pending_) GetApi().clReleaseEvent(one.event);
}

void EventLog::Append(cl_event event, const std::shared_ptr<const std::string>& kernel) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (pending_.size() >= kMaxPending) HarvestFinished();
  pending_.push_back({nullptr, kernel});
  const cl_int code = GetApi().clRetainEvent(event);
  if (code != CL_SUCCESS) {
    pending_.pop_back();
    ThrowCode(code, "clRetainEvent", "timing kernel " + *kernel);
  }
  pending_.back().event = event;
}

void EventLog::HarvestFinished() {
  std::size_t done = 0;
  // Also where a read throws: what is released must not stay in the list.
  const auto forget = [&] { pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done)); };
  try {
    for (; done < pending_.size(); ++done) {
      const Pending& one = pending_[done];
      if (Status(one.event, *one.kernel) != CL_COMPLETE) break;
      times_.push_back(Read(one.event, one.kernel));
      GetApi().clReleaseEvent(one.event);
    }
  } catch (...) {
    forget();
    throw;
  }
  forget();
}

std::vector<KernelTimes> EventLog::Take() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Pending& one : pending_) {
    const cl_int code = GetApi().clWaitForEvents(1, &one.event);
    const cl_int status = Status(one.event, *one.kernel);
    if (status < 0) ThrowCode(status, "clWaitForEvents", "running kernel " + *one.kernel);
    if (code != CL_SUCCESS) ThrowCode(code, "clWaitForEvents", "waiting for kernel " + *one.kernel);
  }
  HarvestFinished();
  std::vector<KernelTimes> result;
  result.swap(times_);
  return result;
}

}  // namespace fleetpose::opencl
