#include "opencl/cache.h"

#include "core/error.h"
#include "core/files.h"
#include "core/libc.h"

/* The file: this, the size of each kernel's binary (8 bytes each), a byte for each entry and step, the binaries. */
typedef struct file_head {
  char magic[8];
  uint8_t key[FP_DIGEST_BYTES];
  uint8_t digest[FP_DIGEST_BYTES]; /* of all behind this head */
} file_head;

static const char kMagic[8] = {'F', 'P', 'K', 'C', 1, 0, 0, 0}; /* the number changes with the layout */
static const size_t kMostBytes = (size_t)1 << 30;

static void add_text(fp_sha256* hash, const char* text) { fp_sha256_add(hash, text, strlen(text) + 1); }

/* What decides the binaries and what the self-check finds: the sources, the checksums of all sections, the driver. */
static void make_key(uint8_t* key, const fp_package* package, const fp_opencl_device* device) {
  const fpk_header* header = (const fpk_header*)package->bytes;
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, package->bytes, sizeof(*header) + header->section_count * sizeof(fpk_section));
  fp_sha256_add(&hash, package->sources, package->source_bytes);
  add_text(&hash, device->platform_name);
  add_text(&hash, device->platform_version);
  add_text(&hash, device->name);
  add_text(&hash, device->vendor);
  add_text(&hash, device->driver);
  fp_sha256_finish(&hash, key);
}

static void make_path(fp_cache* cache, const char* folder) {
  char digits[41];
  for (int i = 0; i < 20; ++i) snprintf(digits + 2 * i, 3, "%02x", cache->key[i]);
  const int length = snprintf(cache->path, sizeof(cache->path), "%s/fleetpose-%s.bin", folder, digits);
  if (length < 0 || (size_t)length >= sizeof(cache->path)) cache->path[0] = '\0';
}

static void digest_of(const uint8_t* bytes, size_t size, uint8_t* digest) {
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, bytes, size);
  fp_sha256_finish(&hash, digest);
}

/* Whether the file is whole, and of this package and device. */
static int is_right(const fp_cache* cache, const uint8_t* file, size_t size) {
  file_head head;
  uint8_t digest[FP_DIGEST_BYTES];
  if (size < sizeof(head)) return 0;
  memcpy(&head, file, sizeof(head));
  digest_of(file + sizeof(head), size - sizeof(head), digest);
  return memcmp(head.magic, kMagic, sizeof(kMagic)) == 0 && memcmp(head.key, cache->key, sizeof(head.key)) == 0 &&
         memcmp(head.digest, digest, sizeof(digest)) == 0;
}

/* Takes the contents of a right file; 0 where they do not add up all the same. */
static int take(fp_cache* cache, const fp_package* package, const uint8_t* file, size_t size) {
  const size_t kernels = package->kernel_count, entries = package->entry_count, steps = package->step_count;
  const size_t sizes = sizeof(file_head), marks = sizes + 8 * kernels, binaries = marks + entries + steps;
  if (size < binaries) return 0;
  size_t at = binaries;
  for (size_t i = 0; i < kernels; ++i) {
    uint64_t bytes;
    memcpy(&bytes, file + sizes + 8 * i, 8);
    if (bytes > size - at) return 0;
    at += bytes;
  }
  if (at != size) return 0;
  at = binaries;
  for (size_t i = 0; i < kernels; ++i) {
    uint64_t bytes;
    memcpy(&bytes, file + sizes + 8 * i, 8);
    cache->binaries[i] = (fp_binary){.bytes = file + at, .size = bytes};
    at += bytes;
  }
  for (size_t i = 0; i < entries; ++i) cache->entries[i] = file[marks + i] == FP_ENTRY_CHECKED;
  for (size_t i = 0; i < steps; ++i) {
    cache->steps[i] = file[marks + entries + i] == FP_STEP_REPLACED && package->steps[i].spare_count > 0;
  }
  return 1;
}

fp_status fp_cache_open(fp_cache* cache, const char* folder, const fp_package* package, const fp_opencl_device* device,
                        fp_error* error) {
  memset(cache, 0, sizeof(*cache));
  cache->binaries = calloc(package->kernel_count + 1, sizeof(fp_binary));
  cache->entries = calloc(package->entry_count + 1, 1);
  cache->steps = calloc(package->step_count + 1, 1);
  if (cache->binaries == NULL || cache->entries == NULL || cache->steps == NULL) {
    fp_cache_close(cache, package);
    return fp_fail(error, FP_NO_MEMORY, "no memory for %u kernels", package->kernel_count);
  }
  if (folder == NULL || *folder == '\0') return FP_OK;
  make_key(cache->key, package, device);
  mkdir(folder, 0700);
  make_path(cache, folder);
  size_t size = 0;
  uint8_t* file = cache->path[0] != '\0' ? fp_file_read(cache->path, kMostBytes, &size) : NULL;
  if (file != NULL && is_right(cache, file, size) && take(cache, package, file, size)) {
    cache->file = file;
  } else {
    free(file);
  }
  return FP_OK;
}

static void drop(fp_binary* binary) {
  if (binary->is_owned) free((void*)(uintptr_t)binary->bytes);
  *binary = (fp_binary){.bytes = NULL};
}

void fp_cache_put(fp_cache* cache, uint32_t kernel, uint8_t* bytes, size_t size) {
  drop(&cache->binaries[kernel]);
  cache->binaries[kernel] = (fp_binary){.bytes = bytes, .size = size, .is_owned = 1};
  cache->is_changed = 1;
}

void fp_cache_save(fp_cache* cache, const fp_package* package) {
  const size_t kernels = package->kernel_count, entries = package->entry_count, steps = package->step_count;
  if (cache->path[0] == '\0' || !cache->is_changed) return;
  size_t size = sizeof(file_head) + 8 * kernels + entries + steps;
  for (size_t i = 0; i < kernels; ++i) size += cache->binaries[i].size;
  uint8_t* file = size <= kMostBytes ? malloc(size) : NULL;
  if (file == NULL) return;
  uint8_t* at = file + sizeof(file_head);
  for (size_t i = 0; i < kernels; ++i, at += 8) {
    const uint64_t bytes = cache->binaries[i].size;
    memcpy(at, &bytes, 8);
  }
  memcpy(at, cache->entries, entries);
  memcpy(at + entries, cache->steps, steps);
  at += entries + steps;
  for (size_t i = 0; i < kernels; ++i) {
    if (cache->binaries[i].size == 0) continue;
    memcpy(at, cache->binaries[i].bytes, cache->binaries[i].size);
    at += cache->binaries[i].size;
  }
  file_head head;
  memcpy(head.magic, kMagic, sizeof(kMagic));
  memcpy(head.key, cache->key, sizeof(head.key));
  digest_of(file + sizeof(head), size - sizeof(head), head.digest);
  memcpy(file, &head, sizeof(head));
  if (fp_file_write(cache->path, file, size)) cache->is_changed = 0;
  free(file);
}

void fp_cache_close(fp_cache* cache, const fp_package* package) {
  for (uint32_t i = 0; cache->binaries != NULL && i < package->kernel_count; ++i) drop(&cache->binaries[i]);
  free(cache->binaries);
  free(cache->entries);
  free(cache->steps);
  free(cache->file);
  memset(cache, 0, sizeof(*cache));
}
