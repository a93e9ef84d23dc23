/* An upsampled pixel depends on the 5 x 5 cells around its own cell, so only cells that can hold a peak are upsampled.
 * A cell holds at most one peak: its highest upsampled pixel, if none beside it is higher. */
#include "pose/decoding/peaks.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/decoding/upsampled_cell.h"
#include "pose/numbers.h"

/* A cell that holds a peak is at least this fraction of the largest cell around it. */
#define FP_SHADOW 0.5f
/* Cells of a part that are upsampled, the highest. */
#define FP_MOST_CELLS 4096u

void fp_peaks_free(fp_peaks* peaks) {
  fp_space_free(&peaks->items);
  fp_space_free(&peaks->padded);
  fp_space_free(&peaks->cells);
  fp_space_free(&peaks->highest);
  fp_space_free(&peaks->candidates);
  fp_space_free(&peaks->keys);
  fp_space_free(&peaks->order);
  fp_space_free(&peaks->spare);
}

static inline float higher(float one, float other) { return one > other ? one : other; }

/* Of each of the `width` columns the highest of three rows, with a column more on each side. `row` is the middle
 * one. */
static void highest_of_rows(const float* row, uint32_t stride, uint32_t width, float* highest) {
  const float *middle = row - 1, *above = middle - stride, *below = middle + stride;
  for (uint32_t at = 0; at < width + 2; ++at) highest[at] = higher(higher(middle[at], above[at]), below[at]);
}

/* Cells that may hold a peak, as row x width + column, in order; answers how many. */
static uint32_t find_cells(const float* padded, uint32_t height, uint32_t width, float threshold, float* highest,
                           uint32_t* cells) {
  const uint32_t stride = width + 2 * FP_MARGIN;
  uint32_t count = 0;
  for (uint32_t row = 0; row < height; ++row) {
    const float* values = padded + (size_t)(row + FP_MARGIN) * stride + FP_MARGIN;
    if (!(fp_highest(values, width) > threshold)) continue;
    highest_of_rows(values, stride, width, highest);
    for (uint32_t at = 0; at < width; ++at) {
      if (!(values[at] > threshold)) continue;
      const float around = higher(higher(highest[at], highest[at + 1]), highest[at + 2]);
      if (values[at] >= FP_SHADOW * around) cells[count++] = row * width + at;
    }
  }
  return count;
}

/* Leaves the highest FP_MOST_CELLS, which are then in order of their height. */
static fp_status keep_highest(fp_peaks* peaks, const float* map, uint32_t* count, fp_error* error) {
  if (*count <= FP_MOST_CELLS) return FP_OK;
  uint32_t* cells = peaks->cells.data;
  double* keys = fp_space_for(&peaks->keys, *count, sizeof(double));
  uint32_t* order = fp_space_for(&peaks->order, *count, sizeof(uint32_t));
  uint32_t* spare = fp_space_for(&peaks->spare, *count, sizeof(uint32_t));
  if (keys == NULL || order == NULL || spare == NULL) return fp_no_room(error);
  for (uint32_t at = 0; at < *count; ++at) keys[at] = map[cells[at]];
  fp_rank_falling(keys, order, spare, *count);
  for (uint32_t at = 0; at < FP_MOST_CELLS; ++at) order[at] = cells[order[at]];
  memcpy(cells, order, FP_MOST_CELLS * sizeof(uint32_t));
  *count = FP_MOST_CELLS;
  return FP_OK;
}

/* The best `most` of the candidates above `threshold` that no better one is within `radius` of, after the peaks there
 * are; answers how many. */
static uint32_t add_best(fp_peaks* peaks, uint32_t candidates, double threshold, double radius, uint32_t most,
                         fp_peak* to) {
  const fp_peak* from = peaks->candidates.data;
  double* keys = peaks->keys.data;
  uint32_t* order = peaks->order.data;
  for (uint32_t at = 0; at < candidates; ++at) keys[at] = from[at].score;
  fp_rank_falling(keys, order, peaks->spare.data, candidates);
  uint32_t count = 0;
  for (uint32_t rank = 0; rank < fp_least(candidates, most) && keys[order[rank]] > threshold; ++rank) {
    const fp_peak peak = from[order[rank]];
    uint32_t better = 0;
    for (; better < count; ++better) {
      const double x = to[better].x - peak.x, y = to[better].y - peak.y;
      if (x * x + y * y <= radius * radius) break;
    }
    if (better == count) to[count++] = peak;
  }
  return count;
}

static fp_status add_part(fp_peaks* peaks, const fp_map* maps, uint32_t part, double threshold, double radius,
                          uint32_t most, fp_error* error) {
  const float* map = fp_channel(maps, part);
  fp_pad_channel(maps, part, peaks->padded.data);
  const float above = (float)(FP_SHADOW * threshold);
  uint32_t count =
      find_cells(peaks->padded.data, maps->height, maps->width, above, peaks->highest.data, peaks->cells.data);
  const fp_status status = keep_highest(peaks, map, &count, error);
  if (status != FP_OK) return status;
  const uint32_t* cells = peaks->cells.data;
  fp_peak* candidates = peaks->candidates.data;
  uint32_t found = 0;
  for (uint32_t at = 0; at < count; ++at) {
    const fp_cell cell = {cells[at] / maps->width, cells[at] % maps->width, maps->height, maps->width};
    found += fp_peak_in_cell(peaks, &cell, candidates + found);
  }
  fp_peak* items = (fp_peak*)peaks->items.data + peaks->first[part];
  peaks->first[part + 1] = peaks->first[part] + add_best(peaks, found, threshold, radius, most, items);
  return FP_OK;
}

fp_status fp_find_peaks(fp_peaks* peaks, const fp_map* maps, double threshold, double radius, uint32_t most,
                        fp_error* error) {
  const size_t cells = fp_cells(maps);
  const size_t upsampled = cells < FP_MOST_CELLS ? cells : FP_MOST_CELLS;
  if (fp_space_for(&peaks->padded, fp_padded_cells(maps), sizeof(float)) == NULL ||
      fp_space_for(&peaks->cells, cells, sizeof(uint32_t)) == NULL ||
      fp_space_for(&peaks->highest, (size_t)maps->width + 2, sizeof(float)) == NULL ||
      fp_space_for(&peaks->candidates, upsampled, sizeof(fp_peak)) == NULL ||
      fp_space_for(&peaks->keys, upsampled, sizeof(double)) == NULL ||
      fp_space_for(&peaks->order, upsampled, sizeof(uint32_t)) == NULL ||
      fp_space_for(&peaks->spare, upsampled, sizeof(uint32_t)) == NULL ||
      fp_space_for(&peaks->items, (size_t)most * FP_KEYPOINTS, sizeof(fp_peak)) == NULL) {
    return fp_no_room(error);
  }
  fp_make_weights(peaks);
  peaks->first[0] = 0;
  for (uint32_t part = 0; part < FP_KEYPOINTS; ++part) {
    const fp_status status = add_part(peaks, maps, part, threshold, radius, most, error);
    if (status != FP_OK) return status;
  }
  return FP_OK;
}
