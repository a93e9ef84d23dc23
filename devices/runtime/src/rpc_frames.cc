#include "rpc_frames.h"

#include <algorithm>
#include <cstring>

namespace fleetpose::rpc {
namespace {

// TVM FFI's type indices, of the values that a server may send.
enum Type : std::int32_t {
  kNone = 0,
  kInt = 1,
  kBool = 2,
  kFloat = 3,
  kOpaquePtr = 4,
  kDataType = 5,
  kDevice = 6,
  kDLTensorPtr = 7,
  kRawStr = 8,
  kByteArrayPtr = 9,
  kSmallStr = 11,
  kSmallBytes = 12,
  kFirstObject = 64,
  kStr = 65,
  kBytes = 66,
  kTensor = 70,
};

constexpr std::int32_t kMostDimensions = 32;
constexpr std::int32_t kSessionMask = 128;  // TVM marks remote devices by multiples of it
constexpr std::int64_t kMostElements = 1LL << 48;

template <typename T>
T ReadAt(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

[[noreturn]] void Malformed(const std::string& what) { throw Broken("its answer is no answer: " + what); }

// What is left of an answer.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T Read() {
    return ReadAt<T>(Skip(sizeof(T)), 0);
  }

  std::string_view Skip(std::uint64_t count) {
    if (count > bytes_.size()) Malformed("it ends too early");
    const std::string_view part = bytes_.substr(0, static_cast<std::size_t>(count));
    bytes_.remove_prefix(static_cast<std::size_t>(count));
    return part;
  }

  void ExpectEnd() const {
    if (!bytes_.empty()) Malformed("it is too long");
  }

 private:
  std::string_view bytes_;
};

void SkipTensor(Cursor* cursor) {
  cursor->Read<std::uint64_t>();  // a handle of the server's
  const auto device = cursor->Read<std::int32_t>();
  cursor->Read<std::int32_t>();  // the device's number
  const auto dimensions = cursor->Read<std::int32_t>();
  cursor->Skip(4);  // the data type
  if (device <= 0 || device >= kSessionMask) Malformed("a tensor on no device");
  if (dimensions < 0 || dimensions > kMostDimensions) Malformed("a tensor of so many dimensions");
  std::int64_t elements = 1;
  for (std::int32_t i = 0; i < dimensions; ++i) {
    const auto extent = cursor->Read<std::int64_t>();
    if (extent < 0 || extent > kMostElements / elements) Malformed("a tensor of no shape");
    elements *= std::max<std::int64_t>(extent, 1);
  }
  cursor->Read<std::uint64_t>();  // the offset
}

// A value that is no object: its bytes can be read, and no address is taken from them.
void SkipPlain(Cursor* cursor, std::int32_t type) {
  switch (type) {
    case kNone:
      return;
    case kInt:
    case kBool:
    case kFloat:
    case kOpaquePtr:
    case kDataType:
    case kDevice:
      cursor->Skip(8);
      return;
    case kRawStr:
    case kByteArrayPtr:
      cursor->Skip(cursor->Read<std::uint64_t>());
      return;
    case kSmallStr:
    case kSmallBytes:
    case kStr:
    case kBytes: {
      const auto inner = cursor->Read<std::int32_t>();
      if (inner != kStr && inner != kBytes) Malformed("a text of another type");
      cursor->Skip(cursor->Read<std::uint64_t>());
      return;
    }
    default:
      Malformed("a value of a type that no server sends");
  }
}

void ExpectCount(std::int32_t count, std::int32_t least, std::int32_t most) {
  if (count < least || count > most) Malformed("so many values");
}

void ExpectPointer(Cursor* cursor) {
  if (cursor->Read<std::int32_t>() != kOpaquePtr) Malformed("no handle where one belongs");
  cursor->Skip(8);
}

// What a function answers: a type, then the value; of an object its handle; of a tensor its shape and its handle.
void CheckCallResult(Cursor* cursor, std::int32_t count) {
  ExpectCount(count, 1, 3);
  if (cursor->Read<std::int32_t>() != kInt) Malformed("a result without its type");
  const auto type = cursor->Read<std::int64_t>();
  if (type == kTensor || type == kDLTensorPtr) {
    ExpectCount(count, 3, 3);
    if (cursor->Read<std::int32_t>() != kDLTensorPtr) Malformed("a tensor without its shape");
    SkipTensor(cursor);
    ExpectPointer(cursor);
  } else if (type >= kFirstObject && type != kStr && type != kBytes) {
    ExpectCount(count, 2, 2);
    ExpectPointer(cursor);
  } else if (type != kNone || count > 1) {
    ExpectCount(count, 2, 2);
    SkipPlain(cursor, cursor->Read<std::int32_t>());
  }
}

void CheckException(Cursor* cursor, std::int32_t count) {
  ExpectCount(count, 1, 1);
  const auto type = cursor->Read<std::int32_t>();
  if (type != kRawStr && type != kStr && type != kSmallStr) Malformed("an error without a text");
  SkipPlain(cursor, type);
}

}  // namespace

const char* Request::Doing() const {
  switch (code) {
    case kInitServer:
      return "starting the session";
    case kCallFunc:
      return "calling a function";
    case kCopyFromRemote:
      return "fetching data";
    case kCopyToRemote:
      return "sending data";
    case kCopyAmongRemote:
      return "copying on the device";
    case kGetGlobalFunc:
      return "looking up a function";
    case kFreeHandle:
    case kDevFreeData:
      return "freeing memory";
    case kDevAllocData:
    case kDevAllocDataWithScope:
      return "allocating memory";
    case kDevStreamSync:
      return "waiting for kernels";
    default:
      return "asking the device";
  }
}

bool Request::RunsKernels() const {
  return code == kCallFunc || code == kCopyFromRemote || code == kCopyToRemote || code == kCopyAmongRemote ||
         code == kDevStreamSync;
}

void RequestReader::Take(std::string_view bytes) {
  seen_ += bytes.size();
  head_ += bytes.substr(0, static_cast<std::size_t>(kMostHead) - std::min<std::size_t>(head_.size(), kMostHead));
  if (head_.size() < kSizeBytes + kCodeBytes) return;
  request_.bytes = kSizeBytes + ReadAt<std::uint64_t>(head_, 0);
  request_.code = ReadAt<std::int32_t>(head_, kSizeBytes);
  const bool short_enough = request_.bytes >= kSizeBytes + kCodeBytes + 8 && request_.bytes <= head_.size();
  if (request_.code == kCopyFromRemote && short_enough) {
    request_.fetched = ReadAt<std::uint64_t>(head_, static_cast<std::size_t>(request_.bytes) - 8);
  }
}

void RequestReader::Clear() { *this = RequestReader(); }

void AnswerReader::Take(const Request& request, std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    // First the size, then the code, then all the rest at once.
    const std::uint64_t next = seen_ < kSizeBytes                ? kSizeBytes
                               : seen_ < kSizeBytes + kCodeBytes ? kSizeBytes + kCodeBytes
                                                                 : total_;
    if (seen_ == total_ && total_ != 0) Malformed("more came than was asked for");
    const auto part = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(next - seen_, bytes.size())));
    bytes.remove_prefix(part.size());
    seen_ += part.size();
    held_ += part;
    if (seen_ == kSizeBytes) CheckSize(request);
    if (seen_ == kSizeBytes + kCodeBytes) CheckCode(request);
    if (whole() && !streams_) {
      const std::string_view frame = held_;
      CheckAnswer(request, ReadAt<std::int32_t>(frame, kSizeBytes), frame.substr(kSizeBytes + kCodeBytes));
    }
    if (streams_ || whole()) {
      *out += held_;
      held_.clear();
    }
  }
}

void AnswerReader::Clear() { *this = AnswerReader(); }

void AnswerReader::CheckSize(const Request& request) {
  const auto size = ReadAt<std::uint64_t>(held_, 0);
  const bool whole_tensor = request.code == kCopyFromRemote && size == kCodeBytes + request.fetched;
  if (size < kCodeBytes || (size > kMostAnswerBytes && !whole_tensor)) {
    Malformed("a frame of " + std::to_string(size) + " bytes");
  }
  total_ = kSizeBytes + size;
}

void AnswerReader::CheckCode(const Request& request) {
  const auto code = ReadAt<std::int32_t>(held_, kSizeBytes);
  const bool fetches = request.code == kCopyFromRemote;
  if (code == kShutdown) throw Broken("the server ended the session");  // as it does where bytes of a request are wrong
  if (code != kException && code != (fetches ? kCopyAck : kReturn)) {
    Malformed("code " + std::to_string(code) + " while " + request.Doing());
  }
  if (code != kCopyAck && total_ > kSizeBytes + kMostAnswerBytes) Malformed("a text of so many bytes");
  streams_ = code == kCopyAck;
  if (streams_ && total_ != kSizeBytes + kCodeBytes + request.fetched) Malformed("a tensor of another size");
}

void CheckAnswer(const Request& request, std::int32_t code, std::string_view content) {
  Cursor cursor(content);
  const auto count = cursor.Read<std::int32_t>();
  if (code == kException) {
    CheckException(&cursor, count);
  } else if (request.code == kCallFunc) {
    CheckCallResult(&cursor, count);
  } else {
    ExpectCount(count, 1, 1);
    SkipPlain(&cursor, cursor.Read<std::int32_t>());
  }
  cursor.ExpectEnd();
}

}  // namespace fleetpose::rpc
