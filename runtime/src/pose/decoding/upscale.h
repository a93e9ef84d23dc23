/* Maps brought to a higher resolution, with the results of OpenCV's own code for cv2.resize of float32. */
#ifndef FLEETPOSE_POSE_UPSCALE_H
#define FLEETPOSE_POSE_UPSCALE_H

#include "fleetpose.h"
#include "pose/workspace.h"

/* Of one cell of the result: the cells it is made of, clipped to the map, and their weights. */
typedef struct fp_cubic_cells {
  uint32_t cells[4];
  float weights[4];
} fp_cubic_cells;

typedef struct fp_linear_cells {
  uint32_t cells[2];
  float weights[2];
} fp_linear_cells;

/* How maps of `from` cells become maps of `to`; zeros at first. */
typedef struct fp_upscale {
  fp_size from, to;
  fp_space across, down; /* fp_cubic_cells or fp_linear_cells */
  fp_space rows;
} fp_upscale;

void fp_upscale_free(fp_upscale* scale);

/* Sets the sizes; answers 0 where there is no memory. Each fp_upscale is used for one kind of interpolation. */
int fp_upscale_cubic(fp_upscale* scale, fp_size from, fp_size to);
int fp_upscale_linear(fp_upscale* scale, fp_size from, fp_size to);

/* Writes the whole map, cubic; what is flat stays so. */
void fp_upscaled_map(fp_upscale* scale, const float* map, float* result);

/* One cell, and one row, linear. */
float fp_upscaled_cell(const fp_upscale* scale, const float* map, uint32_t row, uint32_t column);
void fp_upscaled_row(const fp_upscale* scale, const float* map, uint32_t row, float* result);

#endif
