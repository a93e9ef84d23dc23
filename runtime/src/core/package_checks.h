/* What package.c asks of the other files that look a package through. Each answers FP_OK, or FP_BAD_PACKAGE and why. */
#ifndef FLEETPOSE_CORE_PACKAGE_CHECKS_H
#define FLEETPOSE_CORE_PACKAGE_CHECKS_H

#include "core/package.h"

/* Points the package at its sections: the header, the table, places, checksums and whole records. */
fp_status fp_check_sections(fp_package* package, fp_error* error);
/* Strings, manifest, settings, kernels and constants. */
fp_status fp_check_records(const fp_package* package, fp_error* error);
/* Entries with their buffers, outputs, steps, launches, arguments and checks. */
fp_status fp_check_entries(const fp_package* package, fp_error* error);

/* Whether `count` items from `first` on are within `all`. */
static inline int fp_is_within(uint64_t first, uint64_t count, uint64_t all) {
  return first <= all && count <= all - first;
}

/* The product of a tensor's extents times `element_bytes`; 0 where an extent is 0 or the product exceeds 2^48. */
uint64_t fp_tensor_bytes(uint32_t channels, uint32_t height, uint32_t width, uint32_t element_bytes);

/* A string of the package for an error, or "?" where the offset is none. */
const char* fp_string_or_mark(const fp_package* package, uint32_t offset);

#endif
