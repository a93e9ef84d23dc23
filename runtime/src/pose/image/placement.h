/* Sizes of inputs, and where a picture lies in one: models/preprocess.py in C. */
#ifndef FLEETPOSE_POSE_PLACEMENT_H
#define FLEETPOSE_POSE_PLACEMENT_H

#include "fleetpose.h"

/* The longest side of a picture or an input. */
#define FP_LONGEST_SIDE 32768u

/* A picture scaled to `content` at the top left corner of `input`; what is left of the input is padding. */
typedef struct fp_placement {
  fp_size image; /* upright */
  fp_size input, content;
} fp_placement;

/* The largest size of the picture's shape within `size`, at least 1 x 1; both sizes have sides of 1 to
 * FP_LONGEST_SIDE. */
fp_size fp_contained_size(fp_size image, fp_size size);

/* The index, of `count` sizes, of the one in which the picture is largest; among equals, of the one least padded. */
uint32_t fp_choose_size(fp_size image, const fp_size* sizes, uint32_t count);

fp_placement fp_place(fp_size image, fp_size input);

/* Pixels of the upright picture of pixels of a map that spans the whole input. */
void fp_to_image(const fp_placement* placement, fp_size map, double* x, double* y);

#endif
