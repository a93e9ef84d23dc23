/* A package (format.h) in memory, looked through once when it is opened: what reads it afterwards trusts every index. */
#ifndef FLEETPOSE_CORE_PACKAGE_H
#define FLEETPOSE_CORE_PACKAGE_H

#include <stddef.h>

#include "core/format.h"
#include "core/settings.h"
#include "fleetpose.h"

typedef struct fp_package {
  const uint8_t* bytes;
  size_t size;
  int is_mapped; /* from a file, by fp_package_open_file */
  const char* strings;
  const char* manifest;
  const char* sources;
  const uint8_t* weights;
  uint64_t string_bytes, source_bytes, weight_bytes;
  fp_settings settings;
  const fpk_kernel* kernels;
  const fpk_constant* constants;
  const fpk_entry* entries;
  const fpk_output* outputs;
  const fpk_buffer* buffers;
  const fpk_step* steps;
  const fpk_launch* launches;
  const fpk_argument* arguments;
  const fpk_check* checks;
  const fpk_function* functions;
  uint32_t kernel_count, constant_count, entry_count, output_count, buffer_count;
  uint32_t step_count, launch_count, argument_count, check_count, function_count;
} fp_package;

/* Opens a package and checks all of it; on failure nothing is kept, and one line says what is wrong. The memory has to
 * stay as it is, and to be aligned to 8 bytes; a file is mapped. */
fp_status fp_package_open_memory(fp_package* package, const void* bytes, size_t size, fp_error* error);
fp_status fp_package_open_file(fp_package* package, const char* path, fp_error* error);
void fp_package_close(fp_package* package);

/* A string by its offset. */
static inline const char* fp_package_string(const fp_package* package, uint32_t offset) {
  return package->strings + offset;
}

/* Bytes of an element of a dtype of the format; 0 for no dtype. */
uint32_t fp_dtype_bytes(uint32_t dtype);

#endif
