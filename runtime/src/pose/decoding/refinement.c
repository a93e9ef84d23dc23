/* Joints that people lack, looked for in the whole map: where the heatmap less the rounded distance to a person's tag
 * is largest. A value is not larger than the heatmap's, so rows are looked at from the hottest on, and none once it
 * cannot hold anything better. */
#include "pose/decoding/embedding.h"

#include "core/libc.h"
#include "pose/numbers.h"

/* The best place for a person so far. */
typedef struct fp_match {
  uint32_t person, row, column;
  float value;
} fp_match;

/* heat - (distance to a tag, rounded), for each pixel of a row; tag_rows has a row for each number of a tag. */
static void fit_row(const float* heat, const float* tag_rows, const double* wanted, uint32_t numbers, uint32_t width,
                    float* values) {
  if (numbers == 1) {
    const float tag = (float)wanted[0];
    for (uint32_t at = 0; at < width; ++at) values[at] = heat[at] - fp_roundf(__builtin_fabsf(tag_rows[at] - tag));
    return;
  }
  for (uint32_t at = 0; at < width; ++at) {
    float squares = 0;
    for (uint32_t number = 0; number < numbers; ++number) {
      const float gap = tag_rows[(size_t)number * width + at] - (float)wanted[number];
      squares += gap * gap;
    }
    values[at] = heat[at] - fp_roundf((float)sqrt((double)squares));
  }
}

static int may_improve(const fp_match* match, float highest, uint32_t row) {
  return highest > match->value || (highest == match->value && row < match->row);
}

/* The first of equal values counts, by rows. */
static void look_at_row(fp_match* match, uint32_t row, const float* values, uint32_t width) {
  const float best = fp_highest(values, width);
  if (!may_improve(match, best, row)) return;
  uint32_t column = 0;
  while (values[column] != best) ++column;
  match->row = row;
  match->column = column;
  match->value = best;
}

/* Rows by their highest value, falling: their order. */
static void sort_rows(fp_embedding* embedding, const float* heat, fp_size size) {
  double* keys = embedding->keys.data;
  uint32_t* order = embedding->order.data;
  for (uint32_t row = 0; row < size.height; ++row) keys[row] = fp_highest(heat + (size_t)row * size.width, size.width);
  fp_rank_falling(keys, order, embedding->spare.data, size.height);
}

static void find_matches(fp_embedding* embedding, const fp_map* tags, uint32_t joint, uint32_t count) {
  const fp_size size = embedding->heat_scale.to;
  const uint32_t numbers = embedding->joints.numbers;
  const float* heat = embedding->heat.data;
  const double *means = embedding->groups.means.data, *keys = embedding->keys.data;
  const uint32_t* order = embedding->order.data;
  float* tag_rows = embedding->tag_rows.data;
  fp_match* matches = embedding->matches.data;
  sort_rows(embedding, heat, size);
  for (uint32_t rank = 0, wanted = 1; wanted && rank < size.height; ++rank) {
    const uint32_t row = order[rank];
    int has_tags = 0;
    wanted = 0;
    for (uint32_t at = 0; at < count; ++at) {
      const float highest = (float)keys[row];
      wanted |= highest >= matches[at].value;
      if (!may_improve(&matches[at], highest, row)) continue;
      for (uint32_t number = 0; !has_tags && number < numbers; ++number) {
        const float* map = fp_channel(tags, joint * numbers + number);
        fp_upscaled_row(&embedding->tag_scale, map, row, tag_rows + (size_t)number * size.width);
      }
      has_tags = 1;
      fit_row(heat + (size_t)row * size.width, tag_rows, means + (size_t)matches[at].person * numbers, numbers,
              size.width, embedding->values.data);
      look_at_row(&matches[at], row, embedding->values.data, size.width);
    }
  }
}

static int make_room(fp_embedding* embedding) {
  const fp_size size = embedding->heat_scale.to;
  const size_t people = (size_t)embedding->joints.most * FP_COCO_KEYPOINTS;
  return fp_space_for(&embedding->tag_rows, (size_t)size.width * embedding->joints.numbers, sizeof(float)) != NULL &&
         fp_space_for(&embedding->values, size.width, sizeof(float)) != NULL &&
         fp_space_for(&embedding->matches, people, sizeof(fp_match)) != NULL &&
         fp_space_for(&embedding->keys, size.height, sizeof(double)) != NULL &&
         fp_space_for(&embedding->order, size.height, sizeof(uint32_t)) != NULL &&
         fp_space_for(&embedding->spare, size.height, sizeof(uint32_t)) != NULL;
}

int fp_fill_joints(fp_embedding* embedding, const fp_map* heatmaps, const fp_map* tags, fp_coco_body* people) {
  if (!make_room(embedding)) return 0;
  const fp_size size = embedding->heat_scale.to;
  const fp_members* members = embedding->groups.items.data;
  float* heat = embedding->heat.data;
  fp_match* matches = embedding->matches.data;
  for (uint32_t joint = 0; joint < FP_COCO_KEYPOINTS; ++joint) {
    uint32_t count = 0;
    for (uint32_t person = 0; person < embedding->groups.count; ++person) {
      if (members[person].joints[joint] < 0) matches[count++] = (fp_match){person, 0, 0, -FP_INFINITY};
    }
    if (count == 0) continue;
    fp_upscaled_map(&embedding->heat_scale, fp_channel(heatmaps, joint), heat);
    find_matches(embedding, tags, joint, count);
    for (uint32_t at = 0; at < count; ++at) {
      const float score = heat[(size_t)matches[at].row * size.width + matches[at].column];
      if (!(score > 0)) continue;
      fp_coco_body* person = &people[matches[at].person];
      fp_adjust(heat, size, matches[at].row, matches[at].column, &person->x[joint], &person->y[joint]);
      person->scores[joint] = (double)score;
    }
  }
  return 1;
}
