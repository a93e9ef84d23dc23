#include "opencl/cache.h"

#include "core/error.h"
#include "core/files.h"
#include "core/folder.h"
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

/* Of what a file is: the package (sources, and the checksums of all sections), the device, and its driver. */
enum { PACKAGE, DEVICE, DRIVER, PARTS };
/* The name: "fleetpose-", a part's first bytes as 16 digits for each, between them "-", and ".bin". */
static const char kPrefix[] = "fleetpose-", kSuffix[] = ".bin", kTrial[] = ".bin.trial"; /* of trial.h */
enum { PART_DIGITS = 16, OWN_NAME = sizeof(kPrefix) - 1 + PARTS * (PART_DIGITS + 1) - 1 + sizeof(kSuffix) - 1 };

static void digest_parts(uint8_t parts[PARTS][FP_DIGEST_BYTES], const fp_package* package,
                         const fp_opencl_device* device) {
  const fpk_header* header = (const fpk_header*)package->bytes;
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, package->bytes, sizeof(*header) + header->section_count * sizeof(fpk_section));
  fp_sha256_add(&hash, package->sources, package->source_bytes);
  fp_sha256_finish(&hash, parts[PACKAGE]);
  fp_sha256_start(&hash);
  add_text(&hash, device->platform_name);
  add_text(&hash, device->name);
  add_text(&hash, device->vendor);
  fp_sha256_finish(&hash, parts[DEVICE]);
  fp_sha256_start(&hash);
  add_text(&hash, device->platform_version);
  add_text(&hash, device->driver);
  fp_sha256_finish(&hash, parts[DRIVER]);
}

/* The path, and in `key` what decides the binaries and what the self-check finds: all parts. */
static void make_path(fp_cache* cache, const char* folder, const fp_package* package, const fp_opencl_device* device) {
  uint8_t parts[PARTS][FP_DIGEST_BYTES];
  char digits[PARTS][PART_DIGITS + 1];
  fp_sha256 hash;
  digest_parts(parts, package, device);
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, parts, sizeof(parts));
  fp_sha256_finish(&hash, cache->key);
  for (int part = 0; part < PARTS; ++part) {
    for (int i = 0; i < PART_DIGITS / 2; ++i) snprintf(digits[part] + 2 * i, 3, "%02x", parts[part][i]);
  }
  const int length = snprintf(cache->path, sizeof(cache->path), "%s/%s%s-%s-%s%s", folder, kPrefix, digits[PACKAGE],
                              digits[DEVICE], digits[DRIVER], kSuffix);
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
  mkdir(folder, 0700);
  make_path(cache, folder, package, device);
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

/* Removes a file whose name differs from `context`'s, the cache's own, in the driver alone, or one beside such a file. */
static int remove_other_driver(void* context, const char* name, int is_folder) {
  const fp_cache* cache = context;
  const size_t folder = strlen(cache->path) - OWN_NAME, driver = OWN_NAME - (sizeof(kSuffix) - 1) - PART_DIGITS;
  const char* own = cache->path + folder;
  char path[sizeof(cache->path) + sizeof(kTrial)];
  if (is_folder || strlen(name) < OWN_NAME || memcmp(name, own, driver) != 0) return 1;
  if (memcmp(name + driver, own + driver, PART_DIGITS) == 0) return 1;
  for (size_t i = driver; i < driver + PART_DIGITS; ++i) {
    if (!(name[i] >= '0' && name[i] <= '9') && !(name[i] >= 'a' && name[i] <= 'f')) return 1;
  }
  const char* rest = name + driver + PART_DIGITS;
  if (strcmp(rest, kSuffix) != 0 && strcmp(rest, kTrial) != 0) return 1;
  memcpy(path, cache->path, folder);
  memcpy(path + folder, name, strlen(name) + 1);
  unlink(path);
  return 1;
}

/* After an update of the driver nobody asks again for what was compiled by the one before. */
static void remove_other_drivers(fp_cache* cache) {
  char folder[sizeof(cache->path)];
  const size_t length = strlen(cache->path) - OWN_NAME - 1;
  memcpy(folder, cache->path, length);
  folder[length] = '\0';
  fp_folder_list(folder, 0, remove_other_driver, cache);
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
  if (fp_file_write(cache->path, file, size)) {
    cache->is_changed = 0;
    remove_other_drivers(cache);
  }
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
