#include "rpc_chunks.h"

#include <algorithm>
#include <cstring>

#include "rpc_frames.h"

namespace fleetpose::rpc {
namespace {

constexpr std::uint32_t kMark = 0x31435046;  // "FPC1"

struct Header {
  std::uint32_t mark;
  std::uint32_t size;
  std::uint64_t sum;
  std::uint64_t sum_of_sums;
};
static_assert(sizeof(Header) == 24);

// Fletcher's sums over words of 64 bits: whatever changes one word changes the first of them.
Header HeaderOf(std::string_view bytes, std::uint64_t number) {
  std::uint64_t sum = number ^ bytes.size(), sum_of_sums = 0;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    sum += word;
    sum_of_sums += sum;
  }
  std::uint64_t last = 0;
  if (at < bytes.size()) std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  sum += last;
  sum_of_sums += sum;
  return {kMark, static_cast<std::uint32_t>(bytes.size()), sum, sum_of_sums};
}

}  // namespace

void ChunkWriter::Write(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kMostChunkBytes);
    bytes.remove_prefix(part.size());
    const Header header = HeaderOf(part, number_++);
    out->append(reinterpret_cast<const char*>(&header), sizeof(header));
    out->append(part);
  }
}

void ChunkReader::Take(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    Header header{};
    std::size_t wanted = sizeof(header);
    if (held_.size() >= sizeof(header)) {
      std::memcpy(&header, held_.data(), sizeof(header));
      wanted += header.size;
    }
    const std::string_view part = bytes.substr(0, std::min(wanted - held_.size(), bytes.size()));
    bytes.remove_prefix(part.size());
    held_ += part;
    if (held_.size() == sizeof(header)) {
      std::memcpy(&header, held_.data(), sizeof(header));
      if (header.mark != kMark || header.size == 0 || header.size > kMostChunkBytes) {
        throw Broken("bytes were changed or lost on the way");
      }
    } else if (held_.size() == wanted && wanted > sizeof(header)) {
      const std::string_view content = std::string_view(held_).substr(sizeof(header));
      const Header expected = HeaderOf(content, number_++);
      if (std::memcmp(&expected, &header, sizeof(header)) != 0) throw Broken("bytes were changed or lost on the way");
      *out += content;
      held_.clear();
    }
  }
}

}  // namespace fleetpose::rpc
