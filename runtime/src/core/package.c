#include "core/package.h"

#include "core/error.h"
#include "core/files.h"
#include "core/libc.h"
#include "core/package_checks.h"

uint32_t fp_dtype_bytes(uint32_t dtype) {
  static const uint8_t bytes[] = {[FPK_FLOAT32] = 4, [FPK_FLOAT16] = 2, [FPK_INT32] = 4,
                                  [FPK_INT16] = 2,   [FPK_INT8] = 1,    [FPK_UINT8] = 1};
  return dtype < sizeof(bytes) ? bytes[dtype] : 0;
}

uint64_t fp_tensor_bytes(uint32_t channels, uint32_t height, uint32_t width, uint32_t element_bytes) {
  const uint64_t most = (uint64_t)1 << 48;
  const uint64_t plane = (uint64_t)height * width;
  if (channels == 0 || plane == 0 || plane > most / channels) return 0;
  const uint64_t elements = plane * channels;
  return elements <= most / element_bytes ? elements * element_bytes : 0;
}

const char* fp_string_or_mark(const fp_package* package, uint32_t offset) {
  return offset < package->string_bytes ? package->strings + offset : "?";
}

fp_status fp_package_open_memory(fp_package* package, const void* bytes, size_t size, fp_error* error) {
  memset(package, 0, sizeof(*package));
  if (bytes == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "the package is a null pointer");
  if ((uintptr_t)bytes % 8 != 0)
    return fp_fail(error, FP_BAD_ARGUMENT, "the package's memory is not aligned to 8 bytes");
  package->bytes = bytes;
  package->size = size;
  fp_status status = fp_check_sections(package, error);
  if (status == FP_OK) status = fp_check_records(package, error);
  if (status == FP_OK) status = fp_check_entries(package, error);
  if (status != FP_OK) memset(package, 0, sizeof(*package));
  return status;
}

fp_status fp_package_open_file(fp_package* package, const char* path, fp_error* error) {
  memset(package, 0, sizeof(*package));
  if (path == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "the package's path is a null pointer");
  const void* bytes = NULL;
  size_t size = 0;
  fp_status status = fp_file_map(path, &bytes, &size, error);
  if (status != FP_OK) return status;
  status = fp_package_open_memory(package, bytes, size, error);
  if (status != FP_OK) {
    fp_file_unmap(bytes, size);
    return status;
  }
  package->is_mapped = 1;
  return FP_OK;
}

void fp_package_close(fp_package* package) {
  if (package->is_mapped) fp_file_unmap(package->bytes, package->size);
  memset(package, 0, sizeof(*package));
}
