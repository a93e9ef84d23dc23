/* Pictures in memory, row by row: every format upright and as blue, green, red. */
#ifndef FLEETPOSE_POSE_ROWS_H
#define FLEETPOSE_POSE_ROWS_H

#include "fleetpose.h"
#include "pose/numbers.h"

/* FP_BAD_ARGUMENT for a picture that is not described whole: a plane that is NULL, rows shorter than the width, no such
 * format, sides of 0 or beyond FP_LONGEST_SIDE. */
fp_status fp_check_image(const fp_image* image, fp_error* error);

/* The size when it is upright. */
fp_size fp_upright_size(const fp_image* image);

/* Row `row` of the upright picture: for each pixel blue, green, red (0 to 255) and 0; of FP_GREY the brightness thrice.
 *
 * FP_YUV420 is full-range BT.601 in fixed point of 16 bits, each sum rounded to the nearest, of two to the larger, and
 * clipped: R = Y + 1.402 V', G = Y - 0.344136 U' - 0.714136 V', B = Y + 1.772 U', where U' = U - 128 and V' = V - 128
 * are those of the 2 x 2 pixels. */
void fp_upright_row(const fp_image* image, uint32_t row, fp_four* pixels);

#endif
