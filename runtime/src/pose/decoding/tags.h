/* Grouping by tags: which joints are of one person; models/pose/decoding/tags.py in C. */
#ifndef FLEETPOSE_POSE_TAGS_H
#define FLEETPOSE_POSE_TAGS_H

#include "pose/bodies.h"
#include "pose/decoding/assignment.h"

/* The most numbers a tag has. */
#define FP_MOST_TAG_NUMBERS 32

/* A peak of a joint: pixels of the maps' common size. */
typedef struct fp_joint {
  double x, y;
  float score;
} fp_joint;

/* Candidates of all joints: of joint j `count[j]`, from j x `most` on; `tags` has `numbers` for each. */
typedef struct fp_joints {
  fp_space items, tags; /* fp_joint; float */
  uint32_t count[FP_COCO_KEYPOINTS];
  uint32_t most, numbers;
} fp_joints;

/* A person: the candidate that is each joint, or -1. */
typedef struct fp_members {
  int32_t joints[FP_COCO_KEYPOINTS];
  uint32_t count;
} fp_members;

/* People; `means` has `numbers` for each, sums while they are grouped. Zeros at first. */
typedef struct fp_groups {
  fp_space items, means; /* fp_members; double */
  uint32_t count;
  fp_space costs, distances, owners;
  fp_assigner assigner;
} fp_groups;

void fp_groups_free(fp_groups* groups);

static inline const fp_joint* fp_joint_at(const fp_joints* joints, uint32_t joint, uint32_t candidate) {
  return (const fp_joint*)joints->items.data + (size_t)joint * joints->most + candidate;
}

static inline float* fp_joint_tags(const fp_joints* joints, uint32_t joint, uint32_t candidate) {
  return (float*)joints->tags.data + ((size_t)joint * joints->most + candidate) * joints->numbers;
}

/* Joins candidates into people, joint by joint: at the least total of 100 x (tag distance, rounded) - score; who is
 * `threshold` or more away from the person assigned, or is assigned to none, starts a new person. Only the first
 * joints->most people are assigned anything. Answers 0 where there is no memory. */
int fp_group_joints(fp_groups* groups, const fp_joints* joints, double threshold);

#endif
