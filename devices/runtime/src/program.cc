#include "program.h"

#include <chrono>
#include <cstdlib>
#include <mutex>

#include "cache.h"
#include "error.h"

namespace fleetpose::opencl {
namespace {

std::mutex stats_mutex;
ProgramStats stats;

template <typename Change>
void Count(Change change) {
  std::lock_guard<std::mutex> lock(stats_mutex);
  change(&stats);
}

std::string Options() {
  const char* options = std::getenv("FLEETPOSE_OPENCL_OPTIONS");
  return options != nullptr ? options : "";
}

std::string BuildLog(cl_program program, cl_device_id device) {
  std::size_t size = 0;
  const Api& api = GetApi();
  if (api.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &size) != CL_SUCCESS) return "";
  std::string log(size, '\0');
  if (api.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr) != CL_SUCCESS) {
    return "";
  }
  const std::size_t last = log.find_last_not_of(std::string("\0\n\r\t ", 5));
  log.resize(last == std::string::npos ? 0 : last + 1);
  return log;
}

cl_int Build(cl_program program, cl_device_id device) {
  const auto start = std::chrono::steady_clock::now();
  const cl_int code = GetApi().clBuildProgram(program, 1, &device, Options().c_str(), nullptr, nullptr);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  Count([&](ProgramStats* all) { all->build_secs += taken.count(); });
  return code;
}

// Null when the driver does not take the binary: a driver update may keep its version string.
cl_program FromBinary(Device* device, const std::string& binary) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary.data());
  const std::size_t size = binary.size();
  const cl_device_id id = device->id();
  cl_int status = CL_SUCCESS, code = CL_SUCCESS;
  cl_program program = GetApi().clCreateProgramWithBinary(device->context(), 1, &id, &size, &bytes, &status, &code);
  if (code == CL_SUCCESS && status == CL_SUCCESS && Build(program, id) == CL_SUCCESS) return program;
  if (code == CL_SUCCESS) GetApi().clReleaseProgram(program);
  return nullptr;
}

cl_program FromSource(Device* device, const std::string& source, const std::string& kernel) {
  const char* text = source.data();
  const std::size_t size = source.size();
  cl_int code = CL_SUCCESS;
  cl_program program = GetApi().clCreateProgramWithSource(device->context(), 1, &text, &size, &code);
  if (code != CL_SUCCESS) ThrowCode(code, "clCreateProgramWithSource", "building kernel " + kernel);
  code = Build(program, device->id());
  if (code != CL_SUCCESS) {
    const std::string log = BuildLog(program, device->id());
    GetApi().clReleaseProgram(program);
    ThrowCode(code, "clBuildProgram",
              "building kernel " + kernel + " on " + device->facts().name + "; build log:\n" +
                  (log.empty() ? "(the driver gives none)" : log));
  }
  return program;
}

std::string Binary(cl_program program) {
  std::size_t size = 0;
  const Api& api = GetApi();
  if (api.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, nullptr) != CL_SUCCESS) return "";
  std::string binary(size, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(binary.data());
  if (size == 0 || api.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, nullptr) != CL_SUCCESS) {
    return "";
  }
  return binary;
}

// Asked for a binary, PoCL compiles every kernel once more, for any work-group size (0.2 s for a small one, against
// 0.3 s for the build itself), though it keeps a cache of its own that makes a later build take 0.04 s. So there the
// first builds only leave notes, entries whose payload counts them, and the binary (then 2 ms) is stored once those
// builds have taken as long as it does: kernels that are timed a few times and thrown away cost little extra.
constexpr std::size_t kBuildsBeforeDearBinary = 6;
bool BinaryIsDear(const DeviceFacts& facts) { return facts.platform == "Portable Computing Language"; }

}  // namespace

ProgramStats GetProgramStats() {
  std::lock_guard<std::mutex> lock(stats_mutex);
  return stats;
}

void ResetProgramStats() {
  std::lock_guard<std::mutex> lock(stats_mutex);
  stats = {};
}

cl_program BuildProgram(Device* device, const std::string& source, const std::string& kernel) {
  const std::string directory = CacheDirectory();
  if (directory.empty()) return FromSource(device, source, kernel);

  const DeviceFacts& facts = device->facts();
  const Digest key = CacheKey({source, Options(), facts.platform, facts.platform_version, facts.name, facts.vendor,
                               facts.version, facts.driver});
  std::string binary;
  const CacheRead read = ReadEntry(directory, key, &binary);
  const bool noted = read == CacheRead::kHit && binary.size() <= kBuildsBeforeDearBinary;
  if (read == CacheRead::kHit && !noted) {
    if (cl_program program = FromBinary(device, binary); program != nullptr) {
      Count([](ProgramStats* all) { ++all->hits; });
      return program;
    }
  }
  const bool fresh = read == CacheRead::kMiss || noted;
  Count([&](ProgramStats* all) { ++(fresh ? all->misses : all->rejected); });
  cl_program program = FromSource(device, source, kernel);
  const std::size_t builds = 1 + (noted ? binary.size() : 0);
  if (BinaryIsDear(facts) && fresh && builds < kBuildsBeforeDearBinary) {
    if (WriteEntry(directory, key, std::string(builds, '+'))) Count([](ProgramStats* all) { ++all->noted; });
    return program;
  }
  const std::string built = Binary(program);
  const bool stored = !built.empty() && WriteEntry(directory, key, built);
  Count([&](ProgramStats* all) { ++(stored ? all->stored : all->not_stored); });
  return program;
}

}  // namespace fleetpose::opencl
