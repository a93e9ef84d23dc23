/* The limbs of the skeleton of 18 keypoints, and their channels in part-affinity fields: models/pose/skeleton.py in
 * C. */
#ifndef FLEETPOSE_POSE_SKELETON_H
#define FLEETPOSE_POSE_SKELETON_H

#include <stdint.h>

/* The first 17 limbs are a tree from the neck, in assembly order; the last two, shoulder to ear, only fill gaps. */
#define FP_LIMBS 19
#define FP_TREE_LIMBS 17
#define FP_HEATMAPS 19 /* a map for each keypoint, and the background */
#define FP_FIELDS (2 * FP_LIMBS)

typedef struct fp_bone {
  uint8_t start, end;           /* keypoints */
  uint8_t x_channel, y_channel; /* of its field */
} fp_bone;

static const fp_bone fp_bones[FP_LIMBS] = {
    {1, 2, 12, 13},  {1, 5, 20, 21},   {2, 3, 14, 15},  {3, 4, 16, 17},  {5, 6, 22, 23},
    {6, 7, 24, 25},  {1, 8, 0, 1},     {8, 9, 2, 3},    {9, 10, 4, 5},   {1, 11, 6, 7},
    {11, 12, 8, 9},  {12, 13, 10, 11}, {1, 0, 28, 29},  {0, 14, 30, 31}, {14, 16, 34, 35},
    {0, 15, 32, 33}, {15, 17, 36, 37}, {2, 16, 18, 19}, {5, 17, 26, 27},
};

#endif
