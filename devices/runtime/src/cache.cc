#include "cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace fleetpose::opencl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic{"FPCL\x01\0\0\0", 8};  // the number changes with the layout

std::string Length(std::size_t size) {
  std::string text;
  for (int i = 0; i < 8; ++i) text.push_back(static_cast<char>(std::uint64_t{size} >> (8 * i) & 0xff));
  return text;
}

std::string_view View(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// XDG_CACHE_HOME/name, else HOME/.cache/name; "" where neither is set.
std::string UsualDirectory(const std::string& name) {
  if (std::string xdg = Environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/" + name;
  if (std::string home = Environment("HOME"); !home.empty()) return home + "/.cache/" + name;
  return "";
}

// Whether files can be made in `folder`, which need not be there yet.
bool Writable(const std::string& folder) {
  std::error_code error;
  fs::path existing = fs::absolute(folder, error);
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  return fs::is_directory(existing, error) && access(existing.c_str(), W_OK | X_OK) == 0;
}

// A folder below TMPDIR that nobody but this user can write to; "" where there can be none.
std::string TemporaryDirectory() {
  std::string parent = Environment("TMPDIR");
  if (parent.empty()) parent = "/tmp";
  const std::string folder = parent + "/fleetpose-cache-" + std::to_string(getuid());
  mkdir(folder.c_str(), 0700);
  struct stat facts {};
  if (lstat(folder.c_str(), &facts) != 0) return "";
  const bool ours = S_ISDIR(facts.st_mode) && facts.st_uid == getuid() && (facts.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return ours && Writable(folder) ? folder : "";
}

std::string Below(const std::string& folder, const char* name) { return folder.empty() ? "" : folder + "/" + name; }

// Removes what killed processes left beside an entry: nobody holds the lock of a dead process's file.
void RemoveAbandoned(const fs::path& entry) {
  std::error_code error;
  const std::string prefix = entry.filename().string() + ".";
  for (fs::directory_iterator file(entry.parent_path(), error), end; !error && file != end; file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (name.size() != prefix.size() + 6 || name.compare(0, prefix.size(), prefix) != 0) continue;
    const int handle = open(file->path().c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (handle < 0) continue;
    if (flock(handle, LOCK_EX | LOCK_NB) == 0) unlink(file->path().c_str());
    close(handle);
  }
}

}  // namespace

Digest CacheKey(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (std::string_view part : parts) {
    all += Length(part.size());
    all += part;
  }
  return Sha256(all);
}

std::string EncodeEntry(const Digest& key, std::string_view payload) {
  std::string entry(kMagic);
  entry += View(key);
  entry += View(Sha256(payload));
  entry += Length(payload.size());
  entry += payload;
  return entry;
}

std::optional<std::string> DecodeEntry(const Digest& key, std::string_view bytes) {
  const std::size_t header = kMagic.size() + 2 * key.size() + 8;
  if (bytes.size() < header) return std::nullopt;
  const std::string_view payload = bytes.substr(header);
  // Everything before the payload follows from the key and the payload, so one comparison checks it all.
  if (EncodeEntry(key, payload) != bytes) return std::nullopt;
  return std::string(payload);
}

std::string CacheDirectory() {
  if (Environment("FLEETPOSE_CACHE") == "0") return "";
  if (std::string given = Environment("FLEETPOSE_CACHE_DIR"); !given.empty()) return given;
  const std::string usual = UsualDirectory("fleetpose");
  return !usual.empty() && Writable(usual) ? usual : Below(TemporaryDirectory(), "fleetpose");
}

std::string UnwritableCacheDirectory() {
  const std::string usual = UsualDirectory("fleetpose");
  return usual == CacheDirectory() || !Environment("FLEETPOSE_CACHE_DIR").empty() ? "" : usual;
}

std::string PoclCacheDirectory() {
  const std::string usual = UsualDirectory("pocl");
  if (!Environment("POCL_CACHE_DIR").empty() || usual.empty() || Writable(usual)) return "";
  return Below(TemporaryDirectory(), "pocl");
}

std::string EntryPath(const std::string& directory, const Digest& key) {
  return (fs::path(directory) / ("opencl-" + Hex(key).substr(0, 40) + ".bin")).string();
}

CacheRead ReadEntry(const std::string& directory, const Digest& key, std::string* payload) {
  if (directory.empty()) return CacheRead::kMiss;
  std::ifstream file(EntryPath(directory, key), std::ios::binary);
  if (!file) return CacheRead::kMiss;
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::optional<std::string> found = DecodeEntry(key, bytes);
  if (file.bad() || !found) return CacheRead::kRejected;
  *payload = std::move(*found);
  return CacheRead::kHit;
}

bool WriteEntry(const std::string& directory, const Digest& key, std::string_view payload) {
  if (directory.empty()) return false;
  std::error_code error;
  fs::create_directories(directory, error);
  RemoveAbandoned(EntryPath(directory, key));
  std::string temporary = EntryPath(directory, key) + ".XXXXXX";
  const int handle = mkstemp(temporary.data());
  if (handle < 0) return false;
  (void)flock(handle, LOCK_EX | LOCK_NB);  // until it is closed, so that it is not taken for an abandoned one
  const std::string entry = EncodeEntry(key, payload);
  std::FILE* file = fdopen(handle, "wb");
  if (file == nullptr) close(handle);
  bool good = file != nullptr && std::fwrite(entry.data(), 1, entry.size(), file) == entry.size();
  if (file != nullptr) good = std::fclose(file) == 0 && good;
  if (good) fs::rename(temporary, EntryPath(directory, key), error);
  if (good && !error) return true;
  std::remove(temporary.c_str());
  return false;
}

}  // namespace fleetpose::opencl
