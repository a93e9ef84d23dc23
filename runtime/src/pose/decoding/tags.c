#include "pose/decoding/tags.h"

#include "core/libc.h"
#include "pose/numbers.h"

/* COCO keypoints in the order they are joined: the head, shoulders, hips, then outwards along the limbs. */
static const uint32_t joint_order[FP_COCO_KEYPOINTS] = {0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 13, 14, 9, 10, 15, 16};

/* What a whole unit of rounded tag distance costs, in detection scores. */
#define FP_TAG_COST 100.0

void fp_groups_free(fp_groups* groups) {
  fp_space_free(&groups->items);
  fp_space_free(&groups->means);
  fp_space_free(&groups->costs);
  fp_space_free(&groups->distances);
  fp_space_free(&groups->owners);
  fp_assigner_free(&groups->assigner);
}

static double distance_to(const double* sums, double count, const float* tags, uint32_t numbers) {
  double squares = 0;
  for (uint32_t at = 0; at < numbers; ++at) {
    const double gap = (double)tags[at] - sums[at] / count;
    squares += gap * gap;
  }
  return sqrt(squares);
}

/* The person each candidate of a joint belongs to, or -1 for a new one. */
static int find_owners(fp_groups* groups, const fp_joints* joints, uint32_t joint, double threshold) {
  const uint32_t candidates = joints->count[joint], people = fp_least(groups->count, joints->most);
  const fp_members* members = groups->items.data;
  const double* sums = groups->means.data;
  double *costs = groups->costs.data, *distances = groups->distances.data;
  int32_t* owners = groups->owners.data;
  for (uint32_t candidate = 0; candidate < candidates; ++candidate) {
    owners[candidate] = -1;
    for (uint32_t person = 0; person < people; ++person) {
      const size_t at = (size_t)candidate * people + person;
      distances[at] = distance_to(sums + (size_t)person * joints->numbers, members[person].count,
                                  fp_joint_tags(joints, joint, candidate), joints->numbers);
      costs[at] = FP_TAG_COST * fp_round(distances[at]) - (double)fp_joint_at(joints, joint, candidate)->score;
    }
  }
  if (candidates == 0 || people == 0) return 1;
  if (!fp_assign(&groups->assigner, costs, candidates, people, owners)) return 0;
  for (uint32_t candidate = 0; candidate < candidates; ++candidate) {
    const int32_t owner = owners[candidate];
    if (owner >= 0 && !(distances[(size_t)candidate * people + (uint32_t)owner] < threshold)) owners[candidate] = -1;
  }
  return 1;
}

static void join(fp_groups* groups, const fp_joints* joints, uint32_t joint, uint32_t candidate, int32_t owner) {
  fp_members* members = groups->items.data;
  double* sums = groups->means.data;
  const uint32_t person = owner < 0 ? groups->count++ : (uint32_t)owner;
  if (owner < 0) {
    for (uint32_t at = 0; at < FP_COCO_KEYPOINTS; ++at) members[person].joints[at] = -1;
    members[person].count = 0;
    for (uint32_t at = 0; at < joints->numbers; ++at) sums[(size_t)person * joints->numbers + at] = 0;
  }
  const float* tags = fp_joint_tags(joints, joint, candidate);
  for (uint32_t at = 0; at < joints->numbers; ++at) sums[(size_t)person * joints->numbers + at] += (double)tags[at];
  members[person].joints[joint] = (int32_t)candidate;
  ++members[person].count;
}

int fp_group_joints(fp_groups* groups, const fp_joints* joints, double threshold) {
  const size_t most = joints->most, people = most * FP_COCO_KEYPOINTS;
  fp_members* members = fp_space_for(&groups->items, people, sizeof(fp_members));
  double* means = fp_space_for(&groups->means, people * joints->numbers, sizeof(double));
  int32_t* owners = fp_space_for(&groups->owners, most, sizeof(int32_t));
  if (members == NULL || means == NULL || owners == NULL || !fp_assigner_reserve(&groups->assigner, joints->most) ||
      fp_space_for(&groups->costs, most * most, sizeof(double)) == NULL ||
      fp_space_for(&groups->distances, most * most, sizeof(double)) == NULL) {
    return 0;
  }
  groups->count = 0;
  for (uint32_t at = 0; at < FP_COCO_KEYPOINTS; ++at) {
    const uint32_t joint = joint_order[at];
    if (!find_owners(groups, joints, joint, threshold)) return 0;
    for (uint32_t candidate = 0; candidate < joints->count[joint]; ++candidate) {
      join(groups, joints, joint, candidate, owners[candidate]);
    }
  }
  for (uint32_t person = 0; person < groups->count; ++person) {
    for (uint32_t at = 0; at < joints->numbers; ++at)
      means[(size_t)person * joints->numbers + at] /= members[person].count;
  }
  return 1;
}
