// SHA-256 (FIPS 180-4), for keys and checksums of the program cache.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fleetpose::opencl {

using Digest = std::array<std::uint8_t, 32>;

Digest Sha256(std::string_view bytes);
std::string Hex(const Digest& digest);

}  // namespace fleetpose::opencl
