#include "sha256.h"

#include "core/sha256.h"

namespace fleetpose::opencl {

Digest Sha256(std::string_view bytes) {
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, bytes.data(), bytes.size());
  Digest digest;
  fp_sha256_finish(&hash, digest.data());
  return digest;
}

std::string Hex(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace fleetpose::opencl
