/* One cell of a heatmap, upsampled eight times, and the peak in it. */
#ifndef FLEETPOSE_POSE_UPSAMPLED_CELL_H
#define FLEETPOSE_POSE_UPSAMPLED_CELL_H

#include "pose/decoding/peaks.h"

/* A cell of a map of `height` x `width`. */
typedef struct fp_cell {
  uint32_t row, column, height, width;
} fp_cell;

/* Fills peaks->across and ->down once. */
void fp_make_weights(fp_peaks* peaks);

/* Writes the peak in a cell of the map in peaks->padded; answers 1, or 0 where there is none. */
uint32_t fp_peak_in_cell(const fp_peaks* peaks, const fp_cell* cell, fp_peak* peak);

#endif
