#include "device.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "error.h"
#include "select.h"

namespace fleetpose::opencl {
namespace {

// A driver may not know a newer query; then `fallback` stands.
template <typename T>
T Number(cl_device_id id, cl_device_info what, T fallback = T{}) {
  T value = fallback;
  return GetApi().clGetDeviceInfo(id, what, sizeof(value), &value, nullptr) == CL_SUCCESS ? value : fallback;
}

template <typename Id>
std::string Text(cl_int (*query)(Id, cl_uint, std::size_t, void*, std::size_t*), Id id, cl_uint what) {
  std::size_t size = 0;
  if (query(id, what, 0, nullptr, &size) != CL_SUCCESS || size == 0) return "";
  std::string text(size, '\0');
  if (query(id, what, size, text.data(), nullptr) != CL_SUCCESS) return "";
  text.resize(text.find('\0') == std::string::npos ? size : text.find('\0'));
  return text;
}

bool HasWord(const std::string& words, const std::string& word) {
  return (" " + words + " ").find(" " + word + " ") != std::string::npos;
}

DeviceFacts ReadFacts(cl_platform_id platform, cl_device_id id) {
  const Api& api = GetApi();
  constexpr cl_device_info kImagePitchAlignment = 0x104A;  // CL_DEVICE_IMAGE_PITCH_ALIGNMENT, OpenCL 2.0
  DeviceFacts facts;
  facts.platform = Text(api.clGetPlatformInfo, platform, CL_PLATFORM_NAME);
  facts.platform_version = Text(api.clGetPlatformInfo, platform, CL_PLATFORM_VERSION);
  facts.name = Text(api.clGetDeviceInfo, id, CL_DEVICE_NAME);
  facts.vendor = Text(api.clGetDeviceInfo, id, CL_DEVICE_VENDOR);
  facts.driver = Text(api.clGetDeviceInfo, id, CL_DRIVER_VERSION);
  facts.version = Text(api.clGetDeviceInfo, id, CL_DEVICE_VERSION);
  facts.extensions = Text(api.clGetDeviceInfo, id, CL_DEVICE_EXTENSIONS);
  facts.type = Number<cl_device_type>(id, CL_DEVICE_TYPE);
  facts.compute_units = Number<cl_uint>(id, CL_DEVICE_MAX_COMPUTE_UNITS);
  facts.clock_mhz = Number<cl_uint>(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  facts.max_work_group = Number<std::size_t>(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  facts.vector_width = Number<cl_uint>(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
  facts.local_bytes = Number<cl_ulong>(id, CL_DEVICE_LOCAL_MEM_SIZE);
  facts.global_bytes = Number<cl_ulong>(id, CL_DEVICE_GLOBAL_MEM_SIZE);
  facts.cache_bytes = Number<cl_ulong>(id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
  facts.max_alloc_bytes = Number<cl_ulong>(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  facts.image2d = Number<cl_bool>(id, CL_DEVICE_IMAGE_SUPPORT) == CL_TRUE;
  facts.image2d_width = Number<std::size_t>(id, CL_DEVICE_IMAGE2D_MAX_WIDTH);
  facts.image2d_height = Number<std::size_t>(id, CL_DEVICE_IMAGE2D_MAX_HEIGHT);
  facts.image_pitch = Number<cl_uint>(id, kImagePitchAlignment);
  facts.fp16 = HasWord(facts.extensions, "cl_khr_fp16");
  facts.max_work_items.resize(std::clamp<cl_uint>(Number<cl_uint>(id, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, 3), 1, 16));
  if (api.clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, facts.max_work_items.size() * sizeof(std::size_t),
                          facts.max_work_items.data(), nullptr) != CL_SUCCESS) {
    facts.max_work_items.assign(3, facts.max_work_group);
  }
  return facts;
}

struct Found {
  cl_platform_id platform;
  cl_device_id device;
};

// Every device of every platform, with the names selection goes by. A platform that fails or is empty is passed over.
std::vector<Found> ListAll(std::vector<Listed>* listed) {
  const Api& api = GetApi();
  cl_uint platform_count = 0;
  OPENCL_CALL("listing platforms", clGetPlatformIDs, 0, nullptr, &platform_count);
  std::vector<cl_platform_id> platforms(platform_count);
  OPENCL_CALL("listing platforms", clGetPlatformIDs, platform_count, platforms.data(), nullptr);
  std::vector<Found> found;
  for (std::size_t p = 0; p < platforms.size(); ++p) {
    cl_uint count = 0;
    if (api.clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS || count == 0) continue;
    std::vector<cl_device_id> devices(count);
    if (api.clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr) != CL_SUCCESS) continue;
    for (std::size_t d = 0; d < devices.size(); ++d) {
      found.push_back({platforms[p], devices[d]});
      listed->push_back({p, Text(api.clGetPlatformInfo, platforms[p], CL_PLATFORM_NAME), d,
                         Text(api.clGetDeviceInfo, devices[d], CL_DEVICE_NAME),
                         (Number<cl_device_type>(devices[d], CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0});
    }
  }
  return found;
}

using Devices = std::vector<std::unique_ptr<Device>>;

std::atomic<bool> forked_away{false};

void CheckNotForked() {
  if (ForkedAway()) {
    Throw(
        "OpenCL was used before this process was forked, and its threads stayed behind. Start processes with 'spawn', "
        "or fork before the first use of tvm.opencl()");
  }
}

Devices* Enumerate() {
  std::vector<Listed> listed;
  const std::vector<Found> found = ListAll(&listed);
  const char* selection = std::getenv("FLEETPOSE_OPENCL_DEVICE");
  std::vector<std::size_t> order;
  try {
    order = Order(listed, selection != nullptr ? selection : "");
  } catch (const std::invalid_argument& error) {
    Throw(error.what());
  }
  auto devices = std::make_unique<Devices>();
  for (std::size_t i : order) {
    const int index = static_cast<int>(devices->size());
    devices->push_back(std::make_unique<Device>(index, found[i].platform, found[i].device));
  }
  pthread_atfork(nullptr, nullptr, [] { forked_away = true; });
  return devices.release();
}

thread_local int current_device_index = 0;

}  // namespace

Device::Device(int index, cl_platform_id platform, cl_device_id id)
    : index_(index), platform_(platform), id_(id), facts_(ReadFacts(platform, id)) {}

cl_context Device::context() {
  std::lock_guard<std::mutex> lock(mutex_);
  Queue(false);
  return context_;
}

cl_command_queue Device::Queue(bool profiled) {
  cl_int code = CL_SUCCESS;
  if (context_ == nullptr) {
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform_),
                                                0};
    context_ = GetApi().clCreateContext(properties, 1, &id_, nullptr, nullptr, &code);
    if (code != CL_SUCCESS) {
      context_ = nullptr;
      ThrowCode(code, "clCreateContext", "opening " + facts_.name);
    }
  }
  cl_command_queue& queue = queues_[profiled ? 1 : 0];
  if (queue == nullptr) {
    const cl_command_queue_properties properties = profiled ? CL_QUEUE_PROFILING_ENABLE : 0;
    queue = GetApi().clCreateCommandQueue(context_, id_, properties, &code);
    if (code != CL_SUCCESS) {
      queue = nullptr;
      ThrowCode(code, "clCreateCommandQueue", "opening " + facts_.name);
    }
  }
  return queue;
}

Device::Held Device::Hold() {
  CheckNotForked();
  std::unique_lock<std::mutex> lock(mutex_);
  cl_command_queue queue = Queue(Listening());
  return {std::move(lock), queue};
}

void Device::Record(cl_event event, const std::shared_ptr<const std::string>& kernel) {
  struct Release {
    cl_event event;
    ~Release() { GetApi().clReleaseEvent(event); }
  } release{event};
  for (EventLog* log : logs_) log->Append(event, kernel);
}

void Device::Finish(const char* doing) {
  cl_command_queue queue = Hold().queue;  // waiting itself holds nothing, so that other threads can enqueue
  OPENCL_CALL(std::string(doing) + " on " + facts_.name, clFinish, queue);
}

void Device::StartListening(EventLog* log) {
  CheckNotForked();
  std::lock_guard<std::mutex> lock(mutex_);
  OPENCL_CALL("starting to time on " + facts_.name, clFinish, Queue(Listening()));
  Queue(true);  // made now: a failure must not leave a log that nothing fills
  logs_.push_back(log);
}

void Device::StopListening(EventLog* log) noexcept {
  if (ForkedAway()) return;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find(logs_.begin(), logs_.end(), log);
  if (found == logs_.end()) return;
  // An error here was or will be reported by the Finish or Take that reads the result.
  if (queues_[1] != nullptr) GetApi().clFinish(queues_[1]);
  logs_.erase(found);
}

const std::vector<std::unique_ptr<Device>>& AllDevices() {
  static const Devices* const devices = Enumerate();  // never destroyed: drivers may be unloaded first at exit
  CheckNotForked();
  return *devices;
}

bool ForkedAway() { return forked_away.load(std::memory_order_relaxed); }

Device& GetDevice(int index) {
  const auto& all = AllDevices();
  if (index < 0 || static_cast<std::size_t>(index) >= all.size()) {
    Throw("no device opencl(" + std::to_string(index) + "): " + std::to_string(all.size()) + " OpenCL device(s) found");
  }
  return *all[static_cast<std::size_t>(index)];
}

bool DeviceExists(int index) {
  if (!GetLibrary().loaded()) return false;
  return index >= 0 && static_cast<std::size_t>(index) < AllDevices().size();
}

int CurrentDeviceIndex() { return current_device_index; }
void SetCurrentDeviceIndex(int index) { current_device_index = index; }

}  // namespace fleetpose::opencl
