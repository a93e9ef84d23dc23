/* People while they are worked on, in float64 as Python has them: models/pose/person.py and joints.py in C. */
#ifndef FLEETPOSE_POSE_BODIES_H
#define FLEETPOSE_POSE_BODIES_H

#include "fleetpose.h"
#include "pose/workspace.h"

/* COCO's keypoints, in whose order networks of 17 maps answer. */
#define FP_COCO_KEYPOINTS 17

/* A person with the keypoints of fleetpose.h; one that was not found is NaN, NaN, 0. */
typedef struct fp_body {
  double x[FP_KEYPOINTS], y[FP_KEYPOINTS], scores[FP_KEYPOINTS];
  double score;
  int32_t identity;
} fp_body;

typedef struct fp_bodies {
  fp_space items, spare; /* fp_body */
  fp_space keys, order, spare_order;
  uint32_t count;
} fp_bodies;

void fp_bodies_free(fp_bodies* bodies);

/* Room for so many, to sort them too, and none in it. NULL: no memory. */
fp_body* fp_bodies_start(fp_bodies* bodies, uint32_t most);

/* Puts them in order, best first; equal ones stay as they are. */
void fp_bodies_sort(fp_bodies* bodies);

static inline fp_body* fp_bodies_items(const fp_bodies* bodies) { return bodies->items.data; }

/* The keypoint of fleetpose.h that is this one of COCO's. */
uint32_t fp_from_coco(uint32_t keypoint);

/* A person of 17 keypoints in COCO's order; what was not found is NaN. The neck is halfway between the shoulders, and
 * as sure as the less sure of them; without both there is none. */
void fp_body_from_coco(fp_body* body, const double* x, const double* y, const double* scores, double score);

void fp_body_to_person(const fp_body* body, fp_person* person);

/* How many keypoints were found. */
uint32_t fp_body_count(const fp_body* body);

#endif
