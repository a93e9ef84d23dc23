// The OpenCL devices of this machine: facts, one context each, and the command queues.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "events.h"
#include "library.h"

namespace fleetpose::opencl {

// Read once from the driver; see the OpenCL specification for each CL_DEVICE_*.
struct DeviceFacts {
  std::string platform, platform_version;
  std::string name, vendor, driver, version, extensions;
  cl_device_type type = 0;
  std::uint64_t compute_units = 0, clock_mhz = 0, max_work_group = 0, local_bytes = 0, global_bytes = 0;
  std::uint64_t vector_width = 0;  // floats of the widest vector of the instruction set
  std::uint64_t cache_bytes = 0, max_alloc_bytes = 0, image2d_width = 0, image2d_height = 0, image_pitch = 0;
  std::vector<std::size_t> max_work_items;
  bool image2d = false, fp16 = false;
};

// One device. All commands go through one in-order queue at a time: a plain one, or one with profiling while an
// EventLog listens. (Two queues because profiling is a property fixed at creation that some phone drivers make slow;
// on PoCL the difference is not measurable.) The switch waits for the queue it leaves, so order holds across it.
class Device {
 public:
  Device(int index, cl_platform_id platform, cl_device_id id);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int index() const { return index_; }
  cl_device_id id() const { return id_; }
  const DeviceFacts& facts() const { return facts_; }
  cl_context context();

  // Holds the device for the setting of kernel arguments and an enqueue, which must not interleave with another
  // thread's; `queue` is valid while held.
  struct Held {
    std::unique_lock<std::mutex> lock;
    cl_command_queue queue;
  };
  Held Hold();

  // While held: whether an enqueued kernel should make an event, and handing that event over (ownership included).
  bool Listening() const { return !logs_.empty(); }
  void Record(cl_event event, const std::shared_ptr<const std::string>& kernel);

  // Wait until everything enqueued so far has run.
  void Finish(const char* doing);

  // From now on `log` receives every kernel's event, until StopListening; both wait for the queue to drain.
  void StartListening(EventLog* log);
  void StopListening(EventLog* log) noexcept;

 private:
  cl_command_queue Queue(bool profiled);  // with mutex_ held

  const int index_;
  const cl_platform_id platform_;
  const cl_device_id id_;
  DeviceFacts facts_;
  std::mutex mutex_;
  cl_context context_ = nullptr;
  std::array<cl_command_queue, 2> queues_{};  // plain, profiled
  std::vector<EventLog*> logs_;
};

// Every device, opencl(0) first, found on first use. Throws OpenCLError (no library; FLEETPOSE_OPENCL_DEVICE matches
// nothing; used after a fork of a process that had already used OpenCL).
const std::vector<std::unique_ptr<Device>>& AllDevices();

// Whether this process is a fork of the one that opened the devices: the drivers' threads did not come along.
bool ForkedAway();

// opencl(index). Throws OpenCLError when there is none.
Device& GetDevice(int index);

// Whether opencl(index) is there; false without a library, throws only for a selection that matches nothing.
bool DeviceExists(int index);

// The thread's current device index, as TVM's host code sets it before each launch.
int CurrentDeviceIndex();
void SetCurrentDeviceIndex(int index);

}  // namespace fleetpose::opencl
