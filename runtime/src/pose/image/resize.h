/* Scaling of pictures of 8 bits, with the results of OpenCV's own code for cv2.resize: INTER_CUBIC, and INTER_AREA. */
#ifndef FLEETPOSE_POSE_RESIZE_H
#define FLEETPOSE_POSE_RESIZE_H

#include "fleetpose.h"
#include "pose/numbers.h"
#include "pose/workspace.h"

/* Takes row `row` of the scaled picture: for each pixel blue, green, red, whole numbers from 0 to 255, and 0. */
typedef struct fp_row_sink {
  void (*take)(void* context, uint32_t row, const fp_four* pixels);
  void* context;
} fp_row_sink;

/* What scaling keeps from frame to frame; zeros at first. */
typedef struct fp_resizer {
  fp_space source_row, rows, result, across, down;
} fp_resizer;

void fp_resizer_free(fp_resizer* resizer);

/* The upright picture, scaled to `size`, row by row: cubic convolution in OpenCV's fixed point of 11 bits. */
fp_status fp_resize_cubic(fp_resizer* resizer, const fp_image* image, fp_size size, fp_row_sink sink, fp_error* error);

/* The same by means over the area that a pixel covers; `size` is not larger than the picture. */
fp_status fp_resize_area(fp_resizer* resizer, const fp_image* image, fp_size size, fp_row_sink sink, fp_error* error);

#endif
