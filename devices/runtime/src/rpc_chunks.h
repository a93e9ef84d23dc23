// Chunks with checksums, between our client and our server: what was changed or lost on the way is noticed, never used.
//
// A chunk is a header (u32 mark, u32 size, u64 sum, u64 sum of sums; little-endian) and `size` bytes. Chunks are numbered,
// and the number is part of the sums. It is no protection from somebody who means to change them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fleetpose::rpc {

constexpr std::size_t kMostChunkBytes = 1u << 18;

class ChunkWriter {
 public:
  // Appends `bytes` to `out` as chunks.
  void Write(std::string_view bytes, std::string* out);

 private:
  std::uint64_t number_ = 0;
};

class ChunkReader {
 public:
  // Appends to `out` the content of chunks that are whole. Throws Broken for what is no chunk, or a changed one.
  void Take(std::string_view bytes, std::string* out);

 private:
  std::string held_;
  std::uint64_t number_ = 0;
};

}  // namespace fleetpose::rpc
