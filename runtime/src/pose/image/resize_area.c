/* Scaling by area: each pixel of the result is the mean of what it covers, pixels that it covers in part by that
 * part. */
#include "pose/image/resize.h"
#include "pose/image/rows.h"

/* Of one pixel of the result: `count` pixels from `first` on, and the weights of the first, the last and those
 * between. */
typedef struct fp_area_taps {
  uint32_t first, count;
  float first_weight, weight, last_weight;
} fp_area_taps;

static float weight_at(const fp_area_taps* taps, uint32_t at) {
  return at == 0 ? taps->first_weight : at + 1 == taps->count ? taps->last_weight : taps->weight;
}

/* Parts below a thousandth of a pixel are left out, as OpenCV does. */
static fp_area_taps taps_at(uint32_t at, double scale, uint32_t side) {
  const double start = at * scale, end = start + scale;
  const double covered = scale < side - start ? scale : side - start;
  uint32_t last = fp_least((uint32_t)end, side - 1); /* the first that is not covered whole */
  uint32_t first = (uint32_t)start + ((double)(uint32_t)start < start);
  if (first > last) first = last;
  fp_area_taps taps = {first, last - first, (float)(1.0 / covered), (float)(1.0 / covered), (float)(1.0 / covered)};
  if (end - last > 1e-3) {
    double part = end - last < 1.0 ? end - last : 1.0;
    if (part > covered) part = covered;
    taps.last_weight = (float)(part / covered);
    if (taps.count == 0) taps.first_weight = taps.last_weight;
    ++taps.count;
  }
  if (first - start > 1e-3) {
    if (taps.count == 0) taps.last_weight = (float)((first - start) / covered);
    taps.first_weight = (float)((first - start) / covered);
    --taps.first;
    ++taps.count;
  }
  return taps;
}

/* Where the scale is whole both ways the plain sum of pixels is taken, and divided at the end. */
static fp_area_taps* taps_of(fp_space* space, uint32_t from, uint32_t to, int is_whole) {
  fp_area_taps* taps = fp_space_for(space, to, sizeof(fp_area_taps));
  if (taps == NULL) return NULL;
  const double scale = 1.0 / ((double)to / (double)from);
  for (uint32_t at = 0; at < to; ++at) {
    taps[at] = is_whole ? (fp_area_taps){at * (from / to), from / to, 1, 1, 1} : taps_at(at, scale, from);
  }
  return taps;
}

static void sum_across(const fp_four* source, const fp_area_taps* taps, uint32_t width, fp_four* sums) {
  for (uint32_t at = 0; at < width; ++at) {
    const fp_four* pixels = source + taps[at].first;
    const uint32_t last = taps[at].count - 1;
    fp_four sum = pixels[0] * taps[at].first_weight;
    for (uint32_t tap = 1; tap < last; ++tap) sum += pixels[tap] * taps[at].weight;
    if (last > 0) sum += pixels[last] * taps[at].last_weight;
    sums[at] = sum;
  }
}

static void add_row(const fp_four* row, float weight, int is_first, uint32_t width, fp_four* sums) {
  for (uint32_t at = 0; at < width; ++at) sums[at] = is_first ? row[at] * weight : sums[at] + row[at] * weight;
}

static void round_row(float factor, uint32_t width, fp_four* sums) {
  for (uint32_t at = 0; at < width; ++at) {
    for (int channel = 0; channel < 3; ++channel) {
      const float value = fp_roundf(sums[at][channel] * factor);
      sums[at][channel] = value > 255 ? 255 : value;
    }
  }
}

fp_status fp_resize_area(fp_resizer* resizer, const fp_image* image, fp_size size, fp_row_sink sink, fp_error* error) {
  const fp_size from = fp_upright_size(image);
  const int is_whole = from.width % size.width == 0 && from.height % size.height == 0;
  const fp_area_taps* across = taps_of(&resizer->across, from.width, size.width, is_whole);
  const fp_area_taps* down = taps_of(&resizer->down, from.height, size.height, is_whole);
  fp_four* source = fp_space_for(&resizer->source_row, from.width, sizeof(fp_four));
  fp_four* summed = fp_space_for(&resizer->rows, size.width, sizeof(fp_four));
  fp_four* result = fp_space_for(&resizer->result, size.width, sizeof(fp_four));
  if (across == NULL || down == NULL || source == NULL || summed == NULL || result == NULL) return fp_no_room(error);
  const uint64_t pixels = (uint64_t)(from.width / size.width) * (from.height / size.height);
  const float factor = is_whole ? 1.0f / (float)pixels : 1.0f;
  uint32_t held = UINT32_MAX; /* the row that is summed: a row that two share is summed once */
  for (uint32_t row = 0; row < size.height; ++row) {
    for (uint32_t tap = 0; tap < down[row].count; ++tap) {
      const uint32_t wanted = down[row].first + tap;
      if (wanted != held) {
        fp_upright_row(image, wanted, source);
        sum_across(source, across, size.width, summed);
        held = wanted;
      }
      add_row(summed, weight_at(&down[row], tap), tap == 0, size.width, result);
    }
    round_row(factor, size.width, result);
    sink.take(sink.context, row, result);
  }
  return FP_OK;
}
