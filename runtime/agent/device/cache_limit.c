#include "agent/device/cache_limit.h"

#include "agent/core/file_facts.h"
#include "agent/core/log.h"
#include "core/folder.h"

static const uint64_t kUsualBytes = (uint64_t)256 << 20, kPage = 4096;
enum { PREFIX = sizeof(AGENT_CACHE_PREFIX) - 1, SUFFIX = sizeof(AGENT_CACHE_SUFFIX) - 1 };
enum { NAME = PREFIX + AGENT_CACHE_DIGITS + SUFFIX, PATH_BYTES = 1100 };

typedef struct kept_file {
  int64_t used_nanos;
  uint64_t bytes;
  char name[NAME + 1];
} kept_file;

typedef struct listing {
  const char* folder;
  kept_file* files;
  size_t count, room;
  uint64_t bytes;
} listing;

uint64_t agent_cache_limit_read(const char* text) {
  uint64_t value = 0;
  if (text == NULL || *text == '\0') return kUsualBytes;
  for (const char* digit = text; *digit != '\0'; ++digit) {
    if (*digit < '0' || *digit > '9' || value > (UINT64_MAX >> 4) / 10) {
      agent_log("FLEETPOSE_CACHE_BYTES=%.40s is no number of bytes; %llu MiB are kept", text,
                (unsigned long long)kUsualBytes >> 20);
      return kUsualBytes;
    }
    value = 10 * value + (uint64_t)(*digit - '0');
  }
  return value;
}

static uint64_t on_disk(uint64_t bytes) { return (bytes / kPage + (bytes % kPage != 0)) * kPage; }

static int is_digit(char letter) { return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f'); }

/* Whether a name begins as that of a file of the cache does. */
static int begins_as_cached(const char* name) {
  if (strncmp(name, AGENT_CACHE_PREFIX, PREFIX) != 0) return 0;
  for (int i = PREFIX; i < PREFIX + AGENT_CACHE_DIGITS; ++i) {
    if (!is_digit(name[i])) return 0;
  }
  return strncmp(name + PREFIX + AGENT_CACHE_DIGITS, AGENT_CACHE_SUFFIX, SUFFIX) == 0;
}

/* Whether what follows such a name is ".PROCESS-ADDRESS" (fp_file_write) of a process that is gone: it was killed while
 * it wrote. */
static int is_left_behind(const char* rest) {
  int process = 0;
  if (*rest++ != '.') return 0;
  for (; *rest >= '0' && *rest <= '9' && process < 100000000; ++rest) process = 10 * process + (*rest - '0');
  if (*rest++ != '-' || process == 0) return 0;
  while (is_digit(*rest)) ++rest;
  return *rest == '\0' && kill(process, 0) != 0;
}

static int add_file(void* context, const char* name, int is_folder) {
  listing* of = context;
  char path[PATH_BYTES];
  agent_file_facts facts;
  if (is_folder || !begins_as_cached(name)) return 1;
  const int length = snprintf(path, sizeof(path), "%s/%s", of->folder, name);
  if (length < 0 || (size_t)length >= sizeof(path)) return 1;
  if (name[NAME] != '\0') {
    if (is_left_behind(name + NAME)) unlink(path);
    return 1;
  }
  if (!agent_file_facts_read(path, &facts) || !facts.is_file) return 1;
  if (of->count == of->room) {
    const size_t room = of->room == 0 ? 256 : 2 * of->room;
    kept_file* files = realloc(of->files, room * sizeof(kept_file));
    if (files == NULL) return 0; /* the rest is counted when there is memory again */
    of->files = files;
    of->room = room;
  }
  kept_file* file = &of->files[of->count++];
  *file = (kept_file){.used_nanos = facts.changed_nanos, .bytes = on_disk(facts.bytes)};
  memcpy(file->name, name, NAME + 1);
  of->bytes += file->bytes;
  return 1;
}

static int by_use(const void* one, const void* other) {
  const int64_t first = ((const kept_file*)one)->used_nanos, second = ((const kept_file*)other)->used_nanos;
  return first < second ? -1 : first > second;
}

/* Removes files until an eighth of the limit is free, but not the one at `kept`; answers how many. */
static int remove_oldest(listing* of, uint64_t most, const char* kept) {
  char path[PATH_BYTES];
  int removed = 0;
  qsort(of->files, of->count, sizeof(kept_file), by_use);
  for (size_t i = 0; i < of->count && of->bytes > most - most / 8; ++i) {
    snprintf(path, sizeof(path), "%s/%s", of->folder, of->files[i].name);
    if (strcmp(path, kept) == 0) continue;
    if (unlink(path) != 0 && access(path, FP_F_OK) == 0) continue; /* it may not be removed */
    of->bytes -= of->files[i].bytes;
    ++removed;
  }
  return removed;
}

void agent_cache_limit_written(agent_gpu* gpu, const char* path, size_t bytes) {
  const uint64_t written = on_disk(bytes), most = gpu->cache_most;
  if (written <= gpu->cache_left) {
    gpu->cache_left -= written;
    return;
  }
  listing of = {.folder = gpu->cache_folder};
  fp_folder_list(of.folder, 0, add_file, &of);
  if (of.bytes > most) {
    const int removed = remove_oldest(&of, most, path);
    if (removed > 0)
      agent_log("%d compiled kernels, those used longest ago, are removed: %llu MiB are kept", removed,
                (unsigned long long)most >> 20);
  }
  const uint64_t left = most > of.bytes ? most - of.bytes : 0;
  gpu->cache_left = left < most / 8 ? left : most / 8;
  free(of.files);
}
