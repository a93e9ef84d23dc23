#include "pose/decoding/maps.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"

/* Larger values are no confidence; they would overflow. */
#define FP_LARGEST 1e6f
#define FP_LONGEST 1500u

/* Whether all are right; four at once. */
static int are_right(const float* values, size_t count) {
  fp_mask wrong = {0, 0, 0, 0};
  size_t at = 0;
  for (; at + 4 <= count; at += 4) {
    const fp_four next = *(const fp_four*)(values + at);
    wrong |= ~((fp_mask)(next <= FP_LARGEST) & (fp_mask)(next >= -FP_LARGEST));
  }
  for (; at < count; ++at) wrong[0] |= !(values[at] <= FP_LARGEST && values[at] >= -FP_LARGEST);
  return !(wrong[0] | wrong[1] | wrong[2] | wrong[3]);
}

size_t fp_wrong_values(const float* values, size_t count) {
  if (are_right(values, count)) return 0;
  size_t wrong = 0;
  /* A NaN fails this comparison too. */
  for (size_t at = 0; at < count; ++at) wrong += !(values[at] <= FP_LARGEST && values[at] >= -FP_LARGEST);
  return wrong;
}

fp_status fp_check_map(const fp_map* map, uint32_t channels, fp_error* error) {
  if (map->data == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "the %s are not there: NULL", map->name);
  if (map->channels != channels) {
    return fp_fail(error, FP_BAD_ARGUMENT, "expected %s of %u channels, got %u", map->name, channels, map->channels);
  }
  if (map->height - 1 >= FP_LONGEST || map->width - 1 >= FP_LONGEST) {
    return fp_fail(error, FP_BAD_ARGUMENT, "%s of 1 to %u cells on a side can be decoded, not %u x %u", map->name,
                   FP_LONGEST, map->height, map->width);
  }
  const size_t count = channels * fp_cells(map), wrong = fp_wrong_values(map->data, count);
  if (wrong == 0) return FP_OK;
  return fp_fail(
      error, FP_BAD_ARGUMENT,
      "%llu of the %llu values of the %s are not finite or beyond 1e+06; check the weights, and the scale of "
      "the input",
      (unsigned long long)wrong, (unsigned long long)count, map->name);
}

fp_status fp_check_same_size(const fp_map* map, const fp_map* other, fp_error* error) {
  if (map->height == other->height && map->width == other->width) return FP_OK;
  return fp_fail(error, FP_BAD_ARGUMENT, "maps that belong together differ in size: %s %u x %u, %s %u x %u", map->name,
                 map->height, map->width, other->name, other->height, other->width);
}

void fp_pad_channel(const fp_map* map, uint32_t channel, float* padded) {
  for (uint32_t row = 0; row < map->height + 2 * FP_MARGIN; ++row) {
    const uint32_t from = row < FP_MARGIN ? 0 : fp_least(row - FP_MARGIN, map->height - 1);
    const float* values = fp_channel(map, channel) + (size_t)from * map->width;
    for (int at = 0; at < FP_MARGIN; ++at) *padded++ = values[0];
    memcpy(padded, values, map->width * sizeof(float));
    padded += map->width;
    for (int at = 0; at < FP_MARGIN; ++at) *padded++ = values[map->width - 1];
  }
}
