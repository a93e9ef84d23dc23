/* Compiled kernels and the outcome of the self-check, kept in a file for each package, device and driver.
 *
 * The file is a help and nothing else: one that is missing, damaged or refused by the driver is as none. When one is
 * written, those of the same package and device by another driver go: names have a part for each of the three. Those of
 * other packages and devices stay, since nobody can tell here that they are of no more use.
 */
#ifndef FLEETPOSE_OPENCL_CACHE_H
#define FLEETPOSE_OPENCL_CACHE_H

#include "core/sha256.h"
#include "opencl/device.h"

typedef struct fp_binary {
  const uint8_t* bytes; /* in the file that was read, or memory of its own */
  size_t size;          /* 0: none */
  int is_owned;
} fp_binary;

/* What the self-check found of an entry, and of a step. */
enum { FP_ENTRY_UNCHECKED = 0, FP_ENTRY_CHECKED = 1 };
enum { FP_STEP_FIRST = 0, FP_STEP_REPLACED = 1 };

/* How many starts in a row ended while this step was checked, see trial.h. */
typedef struct fp_trial {
  uint32_t step, starts;
} fp_trial;

typedef struct fp_cache {
  char path[1024]; /* "": nothing is kept from start to start */
  uint8_t key[FP_DIGEST_BYTES];
  void* file;          /* what was read */
  fp_binary* binaries; /* of each kernel */
  uint8_t* entries;    /* FP_ENTRY_..., of each entry */
  uint8_t* steps;      /* FP_STEP_..., of each step */
  int is_changed;      /* since it was read */
  fp_trial trial;      /* of the starts before this one */
} fp_cache;

/* Reads the file in `folder`, which may be NULL and need not be there. */
fp_status fp_cache_open(fp_cache* cache, const char* folder, const fp_package* package, const fp_opencl_device* device,
                        fp_error* error);
/* Takes `bytes`, which were allocated, as kernel number `kernel`. */
void fp_cache_put(fp_cache* cache, uint32_t kernel, uint8_t* bytes, size_t size);
/* Writes the file if something has changed; where that fails the next start compiles again. */
void fp_cache_save(fp_cache* cache, const fp_package* package);
void fp_cache_close(fp_cache* cache, const fp_package* package);

#endif
