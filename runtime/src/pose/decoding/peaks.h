/* Peaks of heatmaps, found as if the maps had been upsampled: models/pose/decoding/peaks.py in C. */
#ifndef FLEETPOSE_POSE_PEAKS_H
#define FLEETPOSE_POSE_PEAKS_H

#include "pose/decoding/maps.h"
#include "pose/workspace.h"

/* In cells of the maps, whole numbers at cells' centres. */
typedef struct fp_peak {
  double x, y, score;
} fp_peak;

/* Peaks of all parts, ordered by part, then best first; zeros at first. Those of part p are first[p] to first[p +
 * 1]. */
typedef struct fp_peaks {
  fp_space items; /* fp_peak */
  uint32_t first[FP_KEYPOINTS + 1];
  fp_space padded, cells, highest, candidates, keys, order, spare;
  float across[10][12], down[10][8]; /* the interpolation's weights */
  int has_weights;
} fp_peaks;

void fp_peaks_free(fp_peaks* peaks);

/* The best `most` local maxima above `threshold` of the first 18 channels of `maps`, upsampled eight times by cubic
 * interpolation and refined below that grid; of two of a part within `radius` cells the lower is dropped. */
fp_status fp_find_peaks(fp_peaks* peaks, const fp_map* maps, double threshold, double radius, uint32_t most,
                        fp_error* error);

static inline const fp_peak* fp_peaks_items(const fp_peaks* peaks) { return peaks->items.data; }

#endif
