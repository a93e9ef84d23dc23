// Chunks: what is read is what was written, or a beginning of it; never anything else.
#include "rpc_chunks.h"

#include <random>
#include <string>

#include "check.h"
#include "rpc_frames.h"

using namespace fleetpose::rpc;

namespace {

std::string Written(const std::string& content, std::size_t part) {
  ChunkWriter writer;
  std::string stream;
  for (std::size_t at = 0; at < content.size(); at += part) writer.Write(content.substr(at, part), &stream);
  return stream;
}

// What is read of `stream`, given in pieces, until it is refused.
std::string Read(const std::string& stream, std::size_t piece, bool* refused) {
  ChunkReader reader;
  std::string content;
  *refused = false;
  try {
    for (std::size_t at = 0; at < stream.size(); at += piece) reader.Take(stream.substr(at, piece), &content);
  } catch (const Broken&) {
    *refused = true;
  }
  return content;
}

std::string RandomBytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

void WhatIsReadIsWhatWasWritten() {
  for (std::size_t size : {1u, 7u, 8u, 9u, 1000u, 300000u, 700001u}) {
    const std::string content = RandomBytes(size, static_cast<unsigned>(size));
    for (std::size_t piece : {13u, 4096u, 1000000u}) {
      bool refused = true;
      CHECK(Read(Written(content, 100000), piece, &refused) == content);
      CHECK(!refused);
    }
  }
}

void NoFlippedBitIsRead() {
  const std::string content = RandomBytes(150, 3);
  const std::string stream = Written(content, 50);
  for (std::size_t bit = 0; bit < 8 * stream.size(); ++bit) {
    std::string changed = stream;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    bool refused = false;
    const std::string read = Read(changed, 17, &refused);
    CHECK(read != content);
    CHECK(content.compare(0, read.size(), read) == 0);
  }
}

void LostAndRepeatedChunksAreNoticed() {
  const std::string content = RandomBytes(150, 4), stream = Written(content, 50);
  const std::size_t chunk = stream.size() / 3;
  bool refused = false;
  CHECK(Read(stream.substr(0, chunk) + stream.substr(2 * chunk), 1000, &refused) == content.substr(0, 50));
  CHECK(refused);
  CHECK(Read(stream.substr(0, chunk) + stream, 1000, &refused) == content.substr(0, 50));
  CHECK(refused);
}

void NoiseIsRefused() {
  for (unsigned seed = 0; seed < 200; ++seed) {
    bool refused = false;
    CHECK(Read(RandomBytes(2000, seed), 31, &refused).empty());
    CHECK(refused);
  }
}

}  // namespace

int main() {
  WhatIsReadIsWhatWasWritten();
  NoFlippedBitIsRead();
  LostAndRepeatedChunksAreNoticed();
  NoiseIsRefused();
  return check::Finish();
}
