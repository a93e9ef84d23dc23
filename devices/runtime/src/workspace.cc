#include "workspace.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace fleetpose::opencl {
namespace {

constexpr std::size_t kMostKept = 16;
constexpr std::size_t kPage = 4096;

struct Kept {
  std::mutex mutex;
  std::vector<Buffer*> buffers;
};

Kept& Pool() {
  static auto* kept = new Kept();  // the buffers end with the process
  return *kept;
}

}  // namespace

Buffer* TakeWorkspace(Device* device, std::size_t bytes) {
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
  {
    std::lock_guard<std::mutex> lock(Pool().mutex);
    auto& buffers = Pool().buffers;
    auto best = buffers.end();
    for (auto one = buffers.begin(); one != buffers.end(); ++one) {
      const bool fits = (*one)->device == device && (*one)->bytes >= rounded && (*one)->bytes <= 2 * rounded;
      if (fits && (best == buffers.end() || (*one)->bytes < (*best)->bytes)) best = one;
    }
    if (best != buffers.end()) {
      Buffer* found = *best;
      buffers.erase(best);
      return found;
    }
  }
  return AllocateBuffer(device, rounded);
}

void GiveBackWorkspace(Buffer* buffer) noexcept {
  if (buffer == nullptr) return;
  Buffer* evicted = nullptr;
  {
    std::lock_guard<std::mutex> lock(Pool().mutex);
    auto& buffers = Pool().buffers;
    buffers.reserve(kMostKept + 1);
    buffers.push_back(buffer);
    if (buffers.size() > kMostKept) {
      evicted = buffers.front();
      buffers.erase(buffers.begin());
    }
  }
  Free(evicted);
}

}  // namespace fleetpose::opencl
