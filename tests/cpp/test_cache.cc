#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cache.h"
#include "check.h"

using namespace fleetpose::opencl;
namespace fs = std::filesystem;

namespace {

void Keys() {
  CHECK(CacheKey({"ab", "c"}) == CacheKey({"ab", "c"}));
  CHECK(CacheKey({"ab", "c"}) != CacheKey({"a", "bc"}));
  CHECK(CacheKey({"ab"}) != CacheKey({"ab", ""}));
}

void Entries() {
  const Digest key = CacheKey({"key"}), other = CacheKey({"other"});
  const std::string payload("bin\0ary", 7);
  const std::string entry = EncodeEntry(key, payload);
  CHECK(DecodeEntry(key, entry) == payload);
  CHECK(DecodeEntry(key, EncodeEntry(key, "")) == std::string());
  CHECK(!DecodeEntry(other, entry));
  CHECK(!DecodeEntry(key, entry + "x"));
  for (std::size_t i = 0; i < entry.size(); ++i) {
    std::string damaged = entry;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    CHECK(!DecodeEntry(key, damaged));
    CHECK(!DecodeEntry(key, std::string_view(entry).substr(0, i)));
  }
}

void Files(const std::string& folder) {
  const Digest key = CacheKey({"key"});
  const std::string nested = folder + "/a/b";
  std::string payload;
  CHECK(ReadEntry(nested, key, &payload) == CacheRead::kMiss);
  CHECK(WriteEntry(nested, key, "first"));
  CHECK(WriteEntry(nested, key, "second"));  // replaces
  CHECK(ReadEntry(nested, key, &payload) == CacheRead::kHit);
  CHECK(payload == "second");
  CHECK(std::distance(fs::directory_iterator(nested), fs::directory_iterator()) == 1);

  const std::string abandoned = EntryPath(nested, key) + ".aaaaaa", held = EntryPath(nested, key) + ".bbbbbb";
  std::ofstream(abandoned) << "of a killed process";
  std::ofstream(EntryPath(nested, key) + ".other") << "of somebody else";  // five letters, not six
  std::ofstream(held) << "of a running process";
  const int handle = open(held.c_str(), O_RDWR);
  CHECK(flock(handle, LOCK_EX) == 0);
  CHECK(WriteEntry(nested, key, "second"));
  CHECK(!fs::exists(abandoned));
  CHECK(fs::exists(held));
  CHECK(fs::exists(EntryPath(nested, key) + ".other"));
  close(handle);

  std::ofstream(EntryPath(nested, key), std::ios::binary) << "something else";
  CHECK(ReadEntry(nested, key, &payload) == CacheRead::kRejected);
  CHECK(payload == "second");  // untouched

  std::ofstream(folder + "/file") << "in the way";
  CHECK(!WriteEntry(folder + "/file/cache", key, "x"));
  CHECK(ReadEntry(folder + "/file/cache", key, &payload) == CacheRead::kMiss);
  CHECK(!WriteEntry("", key, "x"));
  CHECK(ReadEntry("", key, &payload) == CacheRead::kMiss);
}

void Directory(const std::string& folder) {
  for (const char* name : {"FLEETPOSE_CACHE", "FLEETPOSE_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "POCL_CACHE_DIR"}) {
    unsetenv(name);
  }
  const std::string home = folder + "/home", own = folder + "/fleetpose-cache-" + std::to_string(getuid());
  setenv("TMPDIR", folder.c_str(), 1);
  setenv("HOME", home.c_str(), 1);
  CHECK(CacheDirectory() == home + "/.cache/fleetpose");
  CHECK(UnwritableCacheDirectory().empty());
  CHECK(PoclCacheDirectory().empty());
  setenv("XDG_CACHE_HOME", (folder + "/x").c_str(), 1);
  CHECK(CacheDirectory() == folder + "/x/fleetpose");
  setenv("FLEETPOSE_CACHE_DIR", "/c", 1);
  CHECK(CacheDirectory() == "/c");
  CHECK(UnwritableCacheDirectory().empty());
  setenv("FLEETPOSE_CACHE", "0", 1);
  CHECK(CacheDirectory().empty());
  CHECK(!fs::exists(own));
}

// As in a container whose home is read-only, or where there is none.
void UnwritableHome(const std::string& folder) {
  for (const char* name : {"FLEETPOSE_CACHE", "FLEETPOSE_CACHE_DIR", "XDG_CACHE_HOME"}) unsetenv(name);
  const std::string own = folder + "/fleetpose-cache-" + std::to_string(getuid());
  setenv("HOME", "/dev/null/home", 1);
  CHECK(CacheDirectory() == own + "/fleetpose");
  CHECK(UnwritableCacheDirectory() == "/dev/null/home/.cache/fleetpose");
  CHECK(PoclCacheDirectory() == own + "/pocl");
  setenv("POCL_CACHE_DIR", "/p", 1);
  CHECK(PoclCacheDirectory().empty());
  unsetenv("HOME");
  CHECK(CacheDirectory() == own + "/fleetpose");
  CHECK(UnwritableCacheDirectory().empty());

  // What another user could have put there is not trusted.
  fs::permissions(own, fs::perms::all);
  CHECK(CacheDirectory().empty());
  fs::remove_all(own);
  fs::create_directory_symlink(folder, own);
  CHECK(CacheDirectory().empty());
  setenv("TMPDIR", "/dev/null", 1);
  CHECK(CacheDirectory().empty());
}

}  // namespace

int main() {
  std::string folder = (fs::temp_directory_path() / "fleetpose-cache-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 2;
  Keys();
  Entries();
  Files(folder);
  Directory(folder);
  UnwritableHome(folder);
  fs::remove_all(folder);
  return check::Finish();
}
