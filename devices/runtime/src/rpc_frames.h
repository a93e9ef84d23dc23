// TVM's RPC frames, as far as a client must know them so that no answer can harm it.
//
// A client asks by one frame and waits for one: u64 size, i32 code, content. TVM's own client believes whatever comes:
// a wrong size is an allocation, a wrong type an address. Here an answer is read whole and compared with what was asked
// before anything of it is passed on. Knows bytes, no sockets.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fleetpose::rpc {

// The connection cannot go on; the text says why, for a person.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// TVM's RPCCode.
enum Code : std::int32_t {
  kShutdown = 1,
  kInitServer = 2,
  kCallFunc = 3,
  kReturn = 4,
  kException = 5,
  kCopyFromRemote = 6,
  kCopyToRemote = 7,
  kCopyAck = 8,
  kGetGlobalFunc = 9,
  kFreeHandle = 10,
  kDevSetDevice = 11,
  kDevGetAttr = 12,
  kDevAllocData = 13,
  kDevFreeData = 14,
  kDevStreamSync = 15,
  kCopyAmongRemote = 16,
  kDevAllocDataWithScope = 17,
};

constexpr std::uint64_t kMostAnswerBytes = 64u << 20;  // of an answer that is no tensor's data

// What a client has asked.
struct Request {
  std::int32_t code = 0;
  std::uint64_t bytes = 0;    // of the whole frame
  std::uint64_t fetched = 0;  // bytes of a tensor that the answer brings

  // In words: "fetching data".
  const char* Doing() const;
  // Whether the answer waits for kernels, which may take long, and are compiled at their first run.
  bool RunsKernels() const;
};

// Reads the frame of a request as it passes by.
class RequestReader {
 public:
  void Take(std::string_view bytes);
  void Clear();

  bool begun() const { return seen_ > 0; }
  bool whole() const { return seen_ >= kSizeBytes + kCodeBytes && seen_ >= request_.bytes; }
  const Request& request() const { return request_; }

 private:
  static constexpr std::uint64_t kSizeBytes = 8, kCodeBytes = 4, kMostHead = 4096;

  std::string head_;  // the frame, or as much of it as is of interest
  std::uint64_t seen_ = 0;
  Request request_;
};

// Reads the frame of an answer and passes it on once it is known to be harmless.
class AnswerReader {
 public:
  // Appends to `out` what may be passed on. Throws Broken.
  void Take(const Request& request, std::string_view bytes, std::string* out);
  void Clear();

  bool begun() const { return seen_ > 0; }
  bool whole() const { return seen_ >= kSizeBytes && seen_ == total_; }
  std::uint64_t total() const { return total_; }  // bytes of the frame; 0 as long as they are not known

 private:
  static constexpr std::uint64_t kSizeBytes = 8, kCodeBytes = 4;

  void CheckSize(const Request& request);
  void CheckCode(const Request& request);

  std::string held_;  // what is not passed on yet
  std::uint64_t seen_ = 0;
  std::uint64_t total_ = 0;
  bool streams_ = false;  // a tensor's data: nothing in it can do harm, so it is passed on as it comes
};

// Throws Broken unless `content` (what follows the code) is one that TVM's client can take as the answer to `request`.
void CheckAnswer(const Request& request, std::int32_t code, std::string_view content);

}  // namespace fleetpose::rpc
