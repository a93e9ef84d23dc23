#include "agent/device/kernel_cache.h"

#include "agent/core/clock.h"
#include "agent/core/file_facts.h"
#include "agent/device/cache_limit.h"
#include "core/error.h"
#include "core/files.h"
#include "core/sha256.h"
#include "opencl/programs.h"

/* A file: this, and the program; of a note this alone. */
typedef struct file_head {
  char magic[8];
  uint8_t key[FP_DIGEST_BYTES];
  uint8_t digest[FP_DIGEST_BYTES]; /* of the program */
} file_head;

static const char kMagic[8] = {'F', 'P', 'A', 'K', 1, 0, 0, 0}; /* the number changes with the layout */
static const size_t kMostBytes = (size_t)1 << 28;

void agent_kernel_cache_find(agent_gpu* gpu, const char* folder) {
  const char* is_on = getenv("FLEETPOSE_CACHE");
  const char* given = getenv("FLEETPOSE_CACHE_DIR");
  gpu->cache_folder[0] = '\0';
  if (is_on != NULL && strcmp(is_on, "0") == 0) return;
  const int is_given = given != NULL && *given != '\0';
  const int length = snprintf(gpu->cache_folder, sizeof(gpu->cache_folder) - 64, "%s%s", is_given ? given : folder,
                              is_given ? "" : "/kernels");
  if (length < 0 || (size_t)length >= sizeof(gpu->cache_folder) - 64) gpu->cache_folder[0] = '\0';
  if (gpu->cache_folder[0] != '\0') mkdir(gpu->cache_folder, 0700);
  gpu->cache_most = agent_cache_limit_read(getenv("FLEETPOSE_CACHE_BYTES"));
}

static void add_text(fp_sha256* hash, const char* text) { fp_sha256_add(hash, text, strlen(text) + 1); }

static void make_key(const agent_gpu* gpu, const fp_package* package, uint32_t kernel, uint8_t* key) {
  const fpk_kernel* record = &package->kernels[kernel];
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, package->sources + record->preamble, record->preamble_bytes);
  add_text(&hash, "");
  fp_sha256_add(&hash, package->sources + record->body, record->body_bytes);
  add_text(&hash, "");
  add_text(&hash, gpu->device.platform_name);
  add_text(&hash, gpu->device.platform_version);
  add_text(&hash, gpu->device.name);
  add_text(&hash, gpu->device.vendor);
  add_text(&hash, gpu->device.driver);
  fp_sha256_finish(&hash, key);
}

static void digest_of(const uint8_t* bytes, size_t size, uint8_t* digest) {
  fp_sha256 hash;
  fp_sha256_start(&hash);
  fp_sha256_add(&hash, bytes, size);
  fp_sha256_finish(&hash, digest);
}

static void path_of(const agent_gpu* gpu, const uint8_t* key, char path[1100]) {
  char digits[AGENT_CACHE_DIGITS + 1];
  for (int i = 0; i < AGENT_CACHE_DIGITS / 2; ++i) snprintf(digits + 2 * i, 3, "%02x", key[i]);
  snprintf(path, 1100, "%s/" AGENT_CACHE_PREFIX "%s" AGENT_CACHE_SUFFIX, gpu->cache_folder, digits);
}

typedef enum found { NOTHING, NOTE, DAMAGED, PROGRAM } found;

/* Reads a file and gives its program to the session. */
static found read_file(fp_session* session, uint32_t kernel, const char* path, const uint8_t* key) {
  size_t size = 0;
  uint8_t digest[FP_DIGEST_BYTES];
  uint8_t* file = fp_file_read(path, kMostBytes, &size);
  if (file == NULL) return NOTHING;
  file_head head;
  found what = DAMAGED;
  uint8_t* program = NULL;
  if (size >= sizeof(head)) {
    memcpy(&head, file, sizeof(head));
    digest_of(file + sizeof(head), size - sizeof(head), digest);
    const int is_right = memcmp(head.magic, kMagic, sizeof(kMagic)) == 0 &&
                         memcmp(head.key, key, sizeof(head.key)) == 0 &&
                         memcmp(head.digest, digest, sizeof(digest)) == 0;
    if (is_right) what = size == sizeof(head) ? NOTE : PROGRAM;
  }
  if (what == PROGRAM) program = malloc(size - sizeof(head));
  if (program != NULL) {
    memcpy(program, file + sizeof(head), size - sizeof(head));
    fp_cache_put(session->cache, kernel, program, size - sizeof(head));
  }
  free(file);
  return what;
}

static int write_file(agent_gpu* gpu, const char* path, const uint8_t* key, const uint8_t* program, size_t size) {
  file_head head;
  uint8_t* file = malloc(sizeof(head) + size);
  if (file == NULL) return 0;
  memcpy(head.magic, kMagic, sizeof(kMagic));
  memcpy(head.key, key, sizeof(head.key));
  digest_of(program, size, head.digest);
  memcpy(file, &head, sizeof(head));
  if (size > 0) memcpy(file + sizeof(head), program, size);
  const int is_written = fp_file_write(path, file, sizeof(head) + size);
  free(file);
  if (is_written) agent_cache_limit_written(gpu, path, sizeof(head) + size);
  return is_written;
}

static int keep_program(agent_gpu* gpu, const fp_session* session, uint32_t kernel, const char* path,
                        const uint8_t* key) {
  const fp_api* api = &session->device->api;
  cl_program program = session->programs[kernel];
  size_t size = 0;
  if (api->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(size), &size, NULL) != CL_SUCCESS) return 0;
  unsigned char* bytes = size > 0 && size <= kMostBytes ? malloc(size) : NULL;
  if (bytes == NULL) return 0;
  const int is_kept = api->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(bytes), &bytes, NULL) == CL_SUCCESS &&
                      write_file(gpu, path, key, bytes, size);
  free(bytes);
  return is_kept;
}

static int keeps_programs_itself(const agent_gpu* gpu) {
  return strcmp(gpu->device.platform_name, "Portable Computing Language") == 0;
}

fp_status agent_kernel_make(agent_gpu* gpu, fp_session* session, uint32_t kernel, fp_error* error) {
  uint8_t key[FP_DIGEST_BYTES];
  char path[1100];
  agent_cache_stats* stats = &gpu->cache_stats;
  found what = NOTHING;
  if (session->programs[kernel] != NULL) return FP_OK;
  const int keeps = gpu->cache_folder[0] != '\0';
  if (keeps) {
    make_key(gpu, session->package, kernel, key);
    path_of(gpu, key, path);
    what = read_file(session, kernel, path, key);
  }
  const double started = agent_now();
  const fp_status status = fp_programs_make(session, kernel, error);
  stats->build_secs += agent_now() - started;
  if (status != FP_OK || !keeps) return status;
  if (!session->is_compiled[kernel]) {
    ++stats->hits;
    agent_file_touch(path);
    return FP_OK;
  }
  ++*(what == NOTHING || what == NOTE ? &stats->misses : &stats->rejected);
  if (what == NOTHING || keeps_programs_itself(gpu)) {
    if (write_file(gpu, path, key, NULL, 0)) ++stats->noted;
  } else {
    ++*(keep_program(gpu, session, kernel, path, key) ? &stats->stored : &stats->not_stored);
  }
  return FP_OK;
}
