#include "opencl/select.h"

#include "core/libc.h"
#include "core/text.h"

static int is_number(const char* text, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (text[i] < '0' || text[i] > '9') return 0;
  }
  return size > 0;
}

static int matches(const char* part, size_t size, uint32_t index, const char* name) {
  if (!is_number(part, size)) return fp_text_contains(name, part, size); /* an empty part is in every name */
  char digits[16];
  snprintf(digits, sizeof(digits), "%u", index);
  return strlen(digits) == size && memcmp(digits, part, size) == 0;
}

int fp_select_device(const fp_listed* listed, size_t count, const char* selection) {
  const size_t size = strlen(selection);
  const char* colon = memchr(selection, ':', size);
  const size_t platform_size = colon != NULL ? (size_t)(colon - selection) : size;
  const char* device = colon != NULL ? colon + 1 : "";
  for (int is_gpu = 1; is_gpu >= 0; --is_gpu) {
    for (size_t i = 0; i < count; ++i) {
      const fp_listed* item = &listed[i];
      if ((item->is_gpu != 0) != is_gpu) continue;
      if (matches(selection, platform_size, item->platform_index, item->platform) &&
          matches(device, strlen(device), item->device_index, item->device)) {
        return (int)i;
      }
    }
  }
  return -1;
}
