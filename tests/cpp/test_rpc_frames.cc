// Answers that TVM's client may be given, and those that it must not be: every bit flipped, and bytes at random.
#include "rpc_frames.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"

using namespace fleetpose::rpc;

namespace {

class Frame {
 public:
  template <typename T>
  Frame& Put(T value) {
    content_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Frame& I32(std::int32_t value) { return Put(value); }
  Frame& U64(std::uint64_t value) { return Put(value); }
  Frame& Text(const std::string& text) {
    U64(text.size());
    content_ += text;
    return *this;
  }
  std::string Bytes() const {
    const std::uint64_t size = content_.size();
    return std::string(reinterpret_cast<const char*>(&size), 8) + content_;
  }

 private:
  std::string content_;
};

Request Asked(std::int32_t code, std::uint64_t fetched = 0) {
  Request request;
  request.code = code;
  request.fetched = fetched;
  return request;
}

struct Example {
  Request request;
  std::string answer;
};

// What servers answer, by kind.
std::vector<Example> Examples() {
  const auto returned = [](std::int32_t count) { return Frame().I32(kReturn).I32(count); };
  const auto tensor = [](Frame frame) {
    return frame.I32(7).U64(0x1234).I32(4).I32(0).I32(2).I32(0x00012002).U64(3).U64(5).U64(0);
  };
  return {
      {Asked(kInitServer), returned(1).I32(0).Bytes()},
      {Asked(kGetGlobalFunc), returned(1).I32(4).U64(0x55550000).Bytes()},
      {Asked(kDevGetAttr), returned(1).I32(1).U64(1).Bytes()},
      {Asked(kDevGetAttr), returned(1).I32(65).I32(65).Text("a device").Bytes()},
      {Asked(kDevGetAttr), returned(1).I32(11).I32(65).Text("short").Bytes()},
      {Asked(kFreeHandle), returned(1).I32(0).Bytes()},
      {Asked(kCallFunc), returned(2).I32(1).U64(0).I32(0).Bytes()},
      {Asked(kCallFunc), returned(2).I32(1).U64(3).I32(3).U64(0x3ff0000000000000).Bytes()},
      {Asked(kCallFunc), returned(2).I32(1).U64(65).I32(8).Text("[{\"name\": 1}]").Bytes()},
      {Asked(kCallFunc), returned(2).I32(1).U64(66).I32(9).Text(std::string("\0\1\2", 3)).Bytes()},
      {Asked(kCallFunc), returned(2).I32(1).U64(73).I32(4).U64(0x7777).Bytes()},
      {Asked(kCallFunc), tensor(returned(3).I32(1).U64(70)).I32(4).U64(0x8888).Bytes()},
      {Asked(kCallFunc), Frame().I32(kException).I32(1).I32(8).Text("CL_OUT_OF_RESOURCES").Bytes()},
      {Asked(kCopyFromRemote, 16), Frame().I32(kCopyAck).U64(0x0123).U64(0x4567).Bytes()},
      {Asked(kCopyFromRemote, 16), Frame().I32(kException).I32(1).I32(8).Text("no").Bytes()},
  };
}

// Whether TVM's client reads `answer` without harm: no address taken from it, nothing read beyond it, nothing large
// allocated. Written after what TVM does with it (rpc_reference.h), not after the reader under test.
bool Harmless(const Request& request, const std::string& answer) {
  std::size_t at = 0;
  bool good = true;
  const auto skip = [&](std::uint64_t count) {
    good = good && count <= answer.size() - at;
    if (good) at += static_cast<std::size_t>(count);
  };
  const auto integer = [&](std::size_t bytes) {
    std::uint64_t value = 0;
    const std::size_t from = at;
    skip(bytes);
    if (good) std::memcpy(&value, answer.data() + from, bytes);
    return value;
  };
  if (integer(8) != answer.size() - 8) return false;
  const auto code = static_cast<std::int32_t>(integer(4));
  if (code == kCopyAck) return good && request.code == kCopyFromRemote && answer.size() == 12 + request.fetched;
  if (!good || (code != kReturn && code != kException)) return false;
  const auto count = integer(4);
  if (count > 8) return false;
  std::uint64_t result_type = 0;
  for (std::uint64_t i = 0; good && i < count; ++i) {
    const auto type = integer(4);
    if (type == 0) continue;
    if (type <= 6) {
      const auto value = integer(8);
      if (i == 0 && request.code == kCallFunc) result_type = value;
    } else if (type == 7) {
      skip(16);
      const auto dimensions = integer(4);
      good = good && dimensions <= 64 && i == 1 && (result_type == 70 || result_type == 7);
      skip(4 + 8 * dimensions + 8);
    } else if (type == 8 || type == 9) {
      skip(integer(8));
    } else if (type == 65 || type == 66 || type == 11 || type == 12) {
      const auto inner = integer(4);
      good = good && (inner == 65 || inner == 66);
      skip(integer(8));
    } else {
      return false;
    }
  }
  return good && at == answer.size();
}

// What comes out of a reader that is given `answer` in pieces that `random` cuts; nothing where it refuses.
bool Passes(const Request& request, const std::string& answer, std::mt19937* random, std::string* out) {
  AnswerReader reader;
  out->clear();
  try {
    for (std::size_t at = 0; at < answer.size();) {
      const std::size_t piece = random != nullptr ? 1 + (*random)() % 9 : answer.size();
      reader.Take(request, std::string_view(answer).substr(at, piece), out);
      at += piece;
    }
  } catch (const Broken&) {
    return false;
  }
  return reader.whole();
}

void AnswersPassAsTheyAre() {
  std::mt19937 random(1);
  for (const Example& example : Examples()) {
    std::string out;
    CHECK(Harmless(example.request, example.answer));
    CHECK(Passes(example.request, example.answer, nullptr, &out));
    CHECK(out == example.answer);
    CHECK(Passes(example.request, example.answer, &random, &out));
    CHECK(out == example.answer);
  }
}

// An answer's values, its code and its size may be changed; where that would harm the client nothing is passed on.
void ChangedAnswersHarmNobody() {
  std::mt19937 random(2);
  int refused = 0;
  for (const Example& example : Examples()) {
    std::string out;
    for (std::size_t bit = 0; bit < 8 * example.answer.size(); ++bit) {
      std::string changed = example.answer;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      const bool passed = Passes(example.request, changed, &random, &out);
      CHECK(!passed || Harmless(example.request, changed));
      if (example.request.code != kCopyFromRemote) CHECK(passed || out.empty());
      refused += passed ? 0 : 1;
    }
    for (int i = 0; i < 2000; ++i) {
      std::string changed = example.answer;
      for (int changes = 1 + static_cast<int>(random() % 4); changes > 0; --changes) {
        changed[random() % changed.size()] = static_cast<char>(random() % 3 == 0 ? random() : random() % 80);
      }
      const bool passed = Passes(example.request, changed, nullptr, &out);
      CHECK(!passed || Harmless(example.request, changed));
    }
  }
  CHECK(refused > 1000);
}

void SizesAreBounded() {
  std::string out;
  const std::uint64_t none = 0, all = ~none;
  for (std::uint64_t size : {none, none + 3, kMostAnswerBytes + 1, all >> 4, all}) {
    AnswerReader reader;
    const std::string bytes(reinterpret_cast<const char*>(&size), 8);
    CHECK_THROWS(Broken, reader.Take(Asked(kCallFunc), bytes, &out));
  }
  CHECK(out.empty());
  AnswerReader reader;
  const std::string more = Examples()[1].answer + "x";
  CHECK_THROWS(Broken, reader.Take(Asked(kGetGlobalFunc), more, &out));
}

void RequestsAreRead() {
  const std::string fetch =
      Frame().I32(kCopyFromRemote).U64(1).I32(4).I32(0).I32(1).I32(2).U64(9).U64(0).U64(36).Bytes();
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}, fetch.size()}) {
    RequestReader reader;
    for (std::size_t at = 0; at < fetch.size(); at += piece) {
      CHECK(!reader.whole());
      reader.Take(std::string_view(fetch).substr(at, piece));
    }
    CHECK(reader.whole());
    CHECK(reader.request().fetched == 36);
    CHECK(reader.request().bytes == fetch.size());
    CHECK(reader.request().RunsKernels());
  }
  RequestReader large;
  large.Take(Frame().I32(kCopyToRemote).Text(std::string(100000, 'x')).Bytes());
  CHECK(large.whole());
  CHECK(large.request().code == kCopyToRemote);
}

}  // namespace

int main() {
  AnswersPassAsTheyAre();
  ChangedAnswersHarmNobody();
  SizesAreBounded();
  RequestsAreRead();
  return check::Finish();
}
