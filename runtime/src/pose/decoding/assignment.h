/* The assignment of rows to columns that costs least. */
#ifndef FLEETPOSE_POSE_ASSIGNMENT_H
#define FLEETPOSE_POSE_ASSIGNMENT_H

#include <stdint.h>

#include "pose/workspace.h"

/* What assigning keeps from time to time; zeros at first. */
typedef struct fp_assigner {
  fp_space numbers, indices;
} fp_assigner;

void fp_assigner_free(fp_assigner* assigner);

/* Room for `most` rows and columns, so that assigning fewer has it; answers 0 where there is no memory. */
int fp_assigner_reserve(fp_assigner* assigner, uint32_t most);

/* For each of `rows` rows its column, or -1: as many pairs as the shorter side has, whose costs add up to the least.
 * costs: (rows, columns), finite. Shortest augmenting paths, after Jonker and Volgenant (1987) and Crouse, "On
 * implementing 2D rectangular assignment algorithms" (2016). Answers 0 where there is no memory. */
int fp_assign(fp_assigner* assigner, const double* costs, uint32_t rows, uint32_t columns, int32_t* column_of);

#endif
