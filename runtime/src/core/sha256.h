/* SHA-256 (FIPS 180-4): names and checksums of the caches of compiled kernels, TVM's backend's too. */
#ifndef FLEETPOSE_CORE_SHA256_H
#define FLEETPOSE_CORE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { FP_DIGEST_BYTES = 32 };

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fp_sha256 {
  uint32_t state[8];
  uint64_t bytes; /* taken so far */
  uint8_t block[64];
} fp_sha256;

void fp_sha256_start(fp_sha256* hash);
void fp_sha256_add(fp_sha256* hash, const void* bytes, size_t size);
void fp_sha256_finish(fp_sha256* hash, uint8_t digest[FP_DIGEST_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
