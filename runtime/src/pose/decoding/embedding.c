#include "pose/decoding/embedding.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"

/* Pixels of the largest input whose maps are decoded. */
#define FP_MOST_PIXELS (1u << 22)

const fp_embedding_settings fp_embedding_defaults = {
    .kernel = 5, .peak_threshold = 0.1, .most_people = 30, .tag_threshold = 1.0, .least_keypoints = 3, .refine = 1};

void fp_embedding_free(fp_embedding* embedding) {
  fp_upscale_free(&embedding->heat_scale);
  fp_upscale_free(&embedding->tag_scale);
  fp_maxima_free(&embedding->maxima);
  fp_space_free(&embedding->joints.items);
  fp_space_free(&embedding->joints.tags);
  fp_groups_free(&embedding->groups);
  fp_space_free(&embedding->heat);
  fp_space_free(&embedding->keypoints);
  fp_space_free(&embedding->tag_rows);
  fp_space_free(&embedding->values);
  fp_space_free(&embedding->matches);
  fp_space_free(&embedding->keys);
  fp_space_free(&embedding->order);
  fp_space_free(&embedding->spare);
}

static double sign_of(float value) { return value > 0 ? 1 : value < 0 ? -1 : 0; }

void fp_adjust(const float* heat, fp_size size, uint32_t row, uint32_t column, double* x, double* y) {
  const uint32_t left = column > 0 ? column - 1 : 0, right = fp_least(column + 1, size.width - 1);
  const uint32_t above = row > 0 ? row - 1 : 0, below = fp_least(row + 1, size.height - 1);
  const float* line = heat + (size_t)row * size.width;
  const float across = line[right] - line[left];
  const float down = heat[(size_t)below * size.width + column] - heat[(size_t)above * size.width + column];
  *x = column + 0.25 * sign_of(across);
  *y = row + 0.25 * sign_of(down);
}

/* The common size of maps: the input's, or theirs where that is larger. */
static fp_status set_scales(fp_embedding* embedding, const fp_map* heatmaps, const fp_map* tags, fp_size input,
                            fp_error* error) {
  fp_size size = input;
  const fp_map* both[2] = {heatmaps, tags};
  for (int at = 0; at < 2; ++at) {
    if (both[at]->height > size.height) size.height = both[at]->height;
    if (both[at]->width > size.width) size.width = both[at]->width;
  }
  if ((uint64_t)size.height * size.width > FP_MOST_PIXELS) {
    return fp_fail(error, FP_BAD_ARGUMENT, "an input of %u x %u is beyond the %u pixels that are decoded", size.height,
                   size.width, FP_MOST_PIXELS);
  }
  const fp_size heat = {heatmaps->height, heatmaps->width}, tag = {tags->height, tags->width};
  if (!fp_upscale_cubic(&embedding->heat_scale, heat, size) || !fp_upscale_linear(&embedding->tag_scale, tag, size)) {
    return fp_no_room(error);
  }
  return FP_OK;
}

/* The candidates of a joint; the heatmap's size is set. */
static fp_status find_joint(fp_embedding* embedding, const fp_embedding_settings* settings, const fp_map* heatmaps,
                            const fp_map* tags, uint32_t joint, fp_error* error) {
  const fp_size size = embedding->heat_scale.to;
  float* heat = embedding->heat.data;
  fp_joints* joints = &embedding->joints;
  fp_upscaled_map(&embedding->heat_scale, fp_channel(heatmaps, joint), heat);
  const fp_status status = fp_find_maxima(&embedding->maxima, heat, size, settings->kernel,
                                          (float)settings->peak_threshold, settings->most_people, error);
  if (status != FP_OK) return status;
  joints->count[joint] = embedding->maxima.count;
  for (uint32_t at = 0; at < embedding->maxima.count; ++at) {
    const fp_maximum* maximum = fp_maxima_items(&embedding->maxima) + at;
    fp_joint* item = (fp_joint*)joints->items.data + (size_t)joint * joints->most + at;
    fp_adjust(heat, size, maximum->row, maximum->column, &item->x, &item->y);
    item->score = maximum->score;
    float* numbers = fp_joint_tags(joints, joint, at);
    for (uint32_t number = 0; number < joints->numbers; ++number) {
      const float* map = fp_channel(tags, joint * joints->numbers + number);
      numbers[number] = fp_upscaled_cell(&embedding->tag_scale, map, maximum->row, maximum->column);
    }
  }
  return FP_OK;
}

/* Leaves the groups of at least so many joints, and writes what is known of them. */
static void keep_groups(fp_embedding* embedding, uint32_t least_keypoints, fp_coco_body* people) {
  fp_groups* groups = &embedding->groups;
  fp_members* members = groups->items.data;
  double* means = groups->means.data;
  const uint32_t numbers = embedding->joints.numbers;
  uint32_t kept = 0;
  for (uint32_t at = 0; at < groups->count; ++at) {
    if (members[at].count < least_keypoints) continue;
    members[kept] = members[at];
    for (uint32_t number = 0; number < numbers; ++number) means[kept * numbers + number] = means[at * numbers + number];
    for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
      const int32_t member = members[at].joints[joint];
      const fp_joint* item = member < 0 ? NULL : fp_joint_at(&embedding->joints, joint, (uint32_t)member);
      people[kept].x[joint] = item == NULL ? FP_NAN : item->x;
      people[kept].y[joint] = item == NULL ? FP_NAN : item->y;
      people[kept].scores[joint] = item == NULL ? 0 : (double)item->score;
    }
    ++kept;
  }
  groups->count = kept;
}

static fp_status check(const fp_map* heatmaps, const fp_map* tags, fp_error* error) {
  const fp_status status = fp_check_map(heatmaps, FP_COCO_KEYPOINTS, error);
  if (status != FP_OK) return status;
  if (tags->channels == 0 || tags->channels % FP_COCO_KEYPOINTS != 0 ||
      tags->channels / FP_COCO_KEYPOINTS > FP_MOST_TAG_NUMBERS) {
    return fp_fail(error, FP_BAD_ARGUMENT, "expected tags of 17 channels, or of up to %u times as many, got %u",
                   FP_MOST_TAG_NUMBERS, tags->channels);
  }
  return fp_check_map(tags, tags->channels, error);
}

static fp_status make_room(fp_embedding* embedding, uint32_t most, uint32_t numbers, fp_error* error) {
  const fp_size size = embedding->heat_scale.to;
  fp_joints* joints = &embedding->joints;
  joints->most = most;
  joints->numbers = numbers;
  const size_t candidates = (size_t)most * FP_COCO_KEYPOINTS;
  const int enough = fp_space_for(&embedding->heat, (size_t)size.height * size.width, sizeof(float)) != NULL &&
                     fp_space_for(&joints->items, candidates, sizeof(fp_joint)) != NULL &&
                     fp_space_for(&joints->tags, candidates * numbers, sizeof(float)) != NULL &&
                     fp_space_for(&embedding->keypoints, candidates, sizeof(fp_coco_body)) != NULL;
  return enough ? FP_OK : fp_no_room(error);
}

/* Groups the candidates, refines people and brings them to the picture. */
static fp_status make_bodies(fp_embedding* embedding, const fp_embedding_settings* settings, const fp_map* heatmaps,
                             const fp_map* tags, const fp_placement* placement, fp_bodies* bodies, fp_error* error) {
  fp_body* items = fp_bodies_start(bodies, settings->most_people * FP_COCO_KEYPOINTS);
  if (items == NULL || !fp_group_joints(&embedding->groups, &embedding->joints, settings->tag_threshold)) {
    return fp_no_room(error);
  }
  fp_coco_body* people = embedding->keypoints.data;
  keep_groups(embedding, settings->least_keypoints, people);
  bodies->count = embedding->groups.count;
  /* A score is of the joints that a person was grouped from. */
  for (uint32_t at = 0; at < bodies->count; ++at) {
    items[at].score = fp_sum(people[at].scores, FP_COCO_KEYPOINTS) / FP_COCO_KEYPOINTS;
  }
  if (settings->refine && !fp_fill_joints(embedding, heatmaps, tags, people)) return fp_no_room(error);
  for (uint32_t at = 0; at < bodies->count; ++at) {
    for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
      fp_to_image(placement, embedding->heat_scale.to, &people[at].x[joint], &people[at].y[joint]);
    }
    fp_body_from_coco(&items[at], people[at].x, people[at].y, people[at].scores, items[at].score);
  }
  fp_bodies_sort(bodies);
  return FP_OK;
}

fp_status fp_embedding_decode(fp_embedding* embedding, const fp_embedding_settings* settings, const fp_map* heatmaps,
                              const fp_map* tags, const fp_placement* placement, fp_bodies* bodies, fp_error* error) {
  fp_status status = check(heatmaps, tags, error);
  if (status == FP_OK) status = set_scales(embedding, heatmaps, tags, placement->input, error);
  if (status == FP_OK) status = make_room(embedding, settings->most_people, tags->channels / FP_COCO_KEYPOINTS, error);
  for (uint32_t joint = 0; status == FP_OK && joint < FP_COCO_KEYPOINTS; ++joint) {
    status = find_joint(embedding, settings, heatmaps, tags, joint, error);
  }
  return status == FP_OK ? make_bodies(embedding, settings, heatmaps, tags, placement, bodies, error) : status;
}
