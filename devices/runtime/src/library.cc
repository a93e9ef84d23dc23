#include "library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <utility>

#include "cache.h"
#include "error.h"
#include "opencl/library_paths.h"

namespace fleetpose::opencl {
namespace {

struct Candidate {
  std::string path;
  std::string home;     // PYOPENCL_HOME for pip's loader, which asserts that it is set
  std::string vendors;  // OCL_ICD_VENDORS for pip's loader, which has no system default that finds pip's PoCL
};

std::mutex& PipMutex() {
  static std::mutex mutex;
  return mutex;
}

std::vector<Candidate>& PipCandidates() {
  static std::vector<Candidate> candidates;
  return candidates;
}

std::vector<Candidate> Candidates() {
  std::lock_guard<std::mutex> lock(PipMutex());
  std::vector<Candidate> result;
  if (const char* given = std::getenv("FLEETPOSE_LIBOPENCL"); given != nullptr && *given != '\0') {
    if (std::string(given) == "pip" && !PipCandidates().empty()) return PipCandidates();
    result.push_back({given, "", ""});
    return result;  // asked for by name: anything else would be a surprise
  }
#define FLEETPOSE_CANDIDATE(path) result.push_back({path, "", ""});
  FLEETPOSE_LIBOPENCL_NAMES(FLEETPOSE_CANDIDATE)
  result.insert(result.end(), PipCandidates().begin(), PipCandidates().end());
  FLEETPOSE_LIBOPENCL_PATHS(FLEETPOSE_CANDIDATE)
#undef FLEETPOSE_CANDIDATE
  return result;
}

using Lookup = void* (*)(const char*);

// Pixel phones hide OpenCL behind enableOpenCL() and loadOpenCLPointer(name) instead of exporting it.
Lookup PixelLookup(void* handle) {
  auto enable = reinterpret_cast<void (*)()>(dlsym(handle, "enableOpenCL"));
  auto lookup = reinterpret_cast<Lookup>(dlsym(handle, "loadOpenCLPointer"));
  if (enable == nullptr || lookup == nullptr) return nullptr;
  enable();
  return lookup;
}

// The first missing entry point's name, or "" when the table is complete.
std::string Fill(void* handle, Api* api) {
  const Lookup pixel = PixelLookup(handle);
#define FLEETPOSE_LOAD(name)                                                                                 \
  api->name = reinterpret_cast<decltype(api->name)>(pixel != nullptr ? pixel(#name) : dlsym(handle, #name)); \
  if (api->name == nullptr) return #name;
  FLEETPOSE_OPENCL_FUNCTIONS(FLEETPOSE_LOAD)
#undef FLEETPOSE_LOAD
  return "";
}

std::string PathOf(const Api& api, const std::string& fallback) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(api.clGetPlatformIDs), &info) != 0 && info.dli_fname != nullptr) {
    return info.dli_fname;
  }
  return fallback;
}

// Open one candidate; on failure `reason` is set and nothing is kept.
bool Open(const Candidate& candidate, Library* library, std::string* reason) {
  constexpr int kKeep = 0;  // a variable the user has set stays
  if (!candidate.home.empty()) setenv("PYOPENCL_HOME", candidate.home.c_str(), kKeep);
  if (!candidate.vendors.empty()) setenv("OCL_ICD_VENDORS", candidate.vendors.c_str(), kKeep);
  void* handle = dlopen(candidate.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* error = dlerror();
    *reason = error != nullptr ? error : candidate.path + ": cannot be opened";
    return false;
  }
  // From here on the handle is never closed: drivers start threads that must not lose their code.
  if (std::string missing = Fill(handle, &library->api); !missing.empty()) {
    *reason = candidate.path + ": has no entry point " + missing;
    return false;
  }
  library->path = PathOf(library->api, candidate.path);
  return true;
}

Library Search() {
  std::string tried;
  if (const std::string folder = PoclCacheDirectory(); !folder.empty()) setenv("POCL_CACHE_DIR", folder.c_str(), 0);
  for (const Candidate& candidate : Candidates()) {
    Library library;
    std::string reason;
    if (!Open(candidate, &library, &reason)) {
      tried += "\n  " + reason;
      continue;
    }
    cl_uint platforms = 0;
    const cl_int code = library.api.clGetPlatformIDs(0, nullptr, &platforms);
    if (code == CL_SUCCESS && platforms > 0) return library;
    tried += "\n  " + library.path + ": lists no OpenCL platform (" + CodeName(code) + "; is an ICD installed?)";
  }
  Library none;
  none.failure = "no usable libOpenCL; tried:" + tried;
  return none;
}

}  // namespace

const Library& GetLibrary() {
  static const Library* const library = new Library(Search());  // never destroyed: used until the process ends
  return *library;
}

const Api& GetApi() {
  const Library& library = GetLibrary();
  if (!library.loaded()) {
    Throw(library.failure +
          "\ninstall one (apt-get install ocl-icd-libopencl1 pocl-opencl-icd; on x86-64 without root: "
          "pip install intel-opencl-rt intel-cmplr-lib-rt) or set FLEETPOSE_LIBOPENCL");
  }
  return library.api;
}

void OfferPipLibrary(std::string library, std::string home, std::string vendors) {
  std::lock_guard<std::mutex> lock(PipMutex());
  PipCandidates().push_back({std::move(library), std::move(home), std::move(vendors)});
}

}  // namespace fleetpose::opencl

extern "C" __attribute__((visibility("default"))) void fleetpose_opencl_offer_pip_library(const char* library,
                                                                                          const char* home,
                                                                                          const char* vendors) {
  fleetpose::opencl::OfferPipLibrary(library, home, vendors);
}
