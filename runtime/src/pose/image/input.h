/* From a picture to a network's input: models/preprocess.py's `fit` in C. */
#ifndef FLEETPOSE_POSE_INPUT_H
#define FLEETPOSE_POSE_INPUT_H

#include "pose/image/placement.h"
#include "pose/image/resize.h"

enum { FP_ORDER_BGR, FP_ORDER_RGB, FP_ORDER_GREY };

/* What a network expects: (pixel - mean) * scale, its channels in `order`. */
typedef struct fp_preprocessing {
  int order;
  uint32_t channels; /* 3, or 1 of FP_ORDER_GREY */
  float mean[3], scale;
} fp_preprocessing;

/* Fills `input`, (channels, height, width) of the placement's input size: the picture scaled to the placement's
 * content, 0 right of it and below. The picture has to be checked, and of the placement's size when upright. */
fp_status fp_fill_input(fp_resizer* resizer, const fp_image* image, const fp_placement* placement,
                        const fp_preprocessing* preprocessing, float* input, fp_error* error);

#endif
