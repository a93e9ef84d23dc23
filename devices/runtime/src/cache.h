// Built program binaries on disk. Knows files and bytes, not OpenCL; trusts nothing it reads.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "sha256.h"

namespace fleetpose::opencl {

// One key for the parts that decide a binary; parts are length-prefixed, so that no two lists collide.
Digest CacheKey(std::initializer_list<std::string_view> parts);

// An entry: magic "FPCL" and a format number, the key, the SHA-256 and length of the payload, the payload.
std::string EncodeEntry(const Digest& key, std::string_view payload);

// The payload, or nothing unless the bytes are exactly an entry for `key`.
std::optional<std::string> DecodeEntry(const Digest& key, std::string_view bytes);

// FLEETPOSE_CACHE_DIR, else XDG_CACHE_HOME/fleetpose, else HOME/.cache/fleetpose; where that cannot be written, as in
// containers whose file system is read-only, a folder of this user's in TMPDIR. Read at each call.
// "" (no cache) with FLEETPOSE_CACHE=0, or where nothing can be written.
std::string CacheDirectory();

// The folder that would have been taken, had it been writable; "" where it was.
std::string UnwritableCacheDirectory();

// Where PoCL is to keep its own cache: it offers no device where it cannot write to it. "" where it can, or has been
// told where (POCL_CACHE_DIR).
std::string PoclCacheDirectory();

enum class CacheRead { kHit, kMiss, kRejected };

// Reads the entry of `key` into `payload`. kRejected: a file is there but is not that entry.
CacheRead ReadEntry(const std::string& directory, const Digest& key, std::string* payload);

// Writes beside and renames, so that a reader sees the old entry or the new one; removes what a killed process left of
// the same entry. False when it cannot be written.
bool WriteEntry(const std::string& directory, const Digest& key, std::string_view payload);

std::string EntryPath(const std::string& directory, const Digest& key);

}  // namespace fleetpose::opencl
