// The relay for Python's ctypes, which lets go of Python's lock during each of these calls.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>

#include "rpc_relay.h"

using fleetpose::rpc::Limits;
using fleetpose::rpc::Relay;

#define FLEETPOSE_EXPORT extern "C" __attribute__((visibility("default")))

// Takes over all sockets; null, and none of them, where no thread can be started.
FLEETPOSE_EXPORT void* fleetpose_relay_start(int near, int far, int tvm, bool chunked, double answer_secs,
                                             double call_secs, double bytes_per_sec) {
  try {
    return new Relay(near, far, tvm, chunked, Limits{answer_secs, call_secs, bytes_per_sec});
  } catch (const std::exception&) {
    return nullptr;
  }
}

FLEETPOSE_EXPORT void fleetpose_relay_call_limit(void* relay, double secs) {
  static_cast<Relay*>(relay)->SetCallLimit(secs);
}

FLEETPOSE_EXPORT bool fleetpose_relay_alive(void* relay) { return static_cast<Relay*>(relay)->alive(); }

// Writes why it ended into `text`, cut to `size` bytes with the closing zero.
FLEETPOSE_EXPORT void fleetpose_relay_why(void* relay, char* text, std::uint64_t size) {
  const std::string why = static_cast<Relay*>(relay)->why();
  const std::size_t count = std::min<std::size_t>(why.size(), size - 1);
  std::memcpy(text, why.data(), count);
  text[count] = '\0';
}

FLEETPOSE_EXPORT void fleetpose_relay_cut(void* relay, const char* why) { static_cast<Relay*>(relay)->Cut(why); }

// Cuts it, ends its thread, and closes its sockets. The pointer is void afterwards.
FLEETPOSE_EXPORT void fleetpose_relay_free(void* relay) { delete static_cast<Relay*>(relay); }
