#include "pose/decoding/limbs.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/decoding/field.h"
#include "pose/decoding/skeleton.h"
#include "pose/numbers.h"

/* Pairs of peaks from which on it pays to find out where a field is quiet. */
enum { FP_MANY_PAIRS = 48 };

/* Fractions of the way at which limbs are sampled, all and the few that are tried first. */
typedef struct fp_steps {
  float all[FP_MOST_SAMPLES], probes[FP_MOST_SAMPLES];
  uint32_t count, probe_count;
  int32_t may_miss;
  float threshold;
} fp_steps;

void fp_limbs_free(fp_limbs* limbs) {
  fp_space_free(&limbs->items);
  fp_space_free(&limbs->field);
  fp_space_free(&limbs->candidates);
  fp_space_free(&limbs->keys);
  fp_space_free(&limbs->order);
  fp_space_free(&limbs->spare);
  fp_space_free(&limbs->taken);
}

static void make_steps(const fp_limb_rule* rule, fp_steps* steps) {
  const int32_t last = (int32_t)rule->samples - 1;
  for (int32_t at = 0; at <= last; ++at) steps->all[at] = at == 0 ? 0 : at == last ? 1 : (float)(at * (1.0 / last));
  steps->count = rule->samples;
  steps->may_miss = last - fp_floor(rule->share * rule->samples);
  steps->threshold = (float)rule->threshold;
  steps->probe_count = 0;
  const int32_t places = steps->may_miss + 4;
  for (int32_t at = 1, before = -1; at < places - 1; ++at) {
    const int32_t sample = (int32_t)(at * ((double)last / (places - 1)));
    if (sample != before) steps->probes[steps->probe_count++] = steps->all[sample];
    before = sample;
  }
}

/* Whether so many of the probes miss that a limb cannot be valid. Quiet places are asked first, which costs less. */
static int is_missed(const fp_field* field, const fp_segment* segment, const fp_steps* steps) {
  fp_spot spots[FP_MOST_SAMPLES];
  uint32_t asked = 0;
  int32_t missed = 0;
  for (uint32_t at = 0; at < steps->probe_count; ++at) {
    const fp_spot spot = fp_spot_at(field, segment, steps->probes[at]);
    if (!fp_field_is_quiet(field, &spot)) {
      spots[asked++] = spot;
    } else if (++missed > steps->may_miss) {
      return 1;
    }
  }
  const fp_direction direction = fp_direction_of(segment);
  for (uint32_t at = 0; at < asked && missed <= steps->may_miss; ++at) {
    missed += fp_field_along(field, &spots[at], direction) <= steps->threshold;
  }
  return missed > steps->may_miss;
}

/* Whether a limb is valid, and its score. */
static int judge(const fp_field* field, const fp_peak* start, const fp_peak* end, const fp_steps* steps,
                 double* score) {
  const fp_segment segment = fp_segment_of(field, start, end);
  if (is_missed(field, &segment, steps)) return 0;
  const fp_direction direction = fp_direction_of(&segment);
  uint32_t counted = 0;
  double sum = 0;
  for (uint32_t at = 0; at < steps->count; ++at) {
    const fp_spot spot = fp_spot_at(field, &segment, steps->all[at]);
    const float along = fp_field_along(field, &spot, direction);
    if (along > steps->threshold) {
      sum += (double)along;
      ++counted;
    }
  }
  *score = sum / (counted > 0 ? counted : 1);
  return (int32_t)counted >= (int32_t)steps->count - steps->may_miss;
}

/* Valid limbs of a kind, start by start; answers how many. */
static uint32_t find_candidates(fp_limbs* limbs, const fp_peaks* peaks, const fp_field* field, uint32_t limb,
                                const fp_steps* steps) {
  const fp_bone bone = fp_bones[limb];
  const fp_peak* items = fp_peaks_items(peaks);
  fp_limb* candidates = limbs->candidates.data;
  uint32_t count = 0;
  for (uint32_t start = peaks->first[bone.start]; start < peaks->first[bone.start + 1]; ++start) {
    for (uint32_t end = peaks->first[bone.end]; end < peaks->first[bone.end + 1]; ++end) {
      fp_limb candidate = {limb, start, end, 0};
      if (judge(field, &items[start], &items[end], steps, &candidate.score)) candidates[count++] = candidate;
    }
  }
  return count;
}

/* Greedy: best first, each peak once as start and once as end. */
static void match(fp_limbs* limbs, const fp_peaks* peaks, uint32_t limb, uint32_t count) {
  const uint32_t first_start = peaks->first[fp_bones[limb].start], first_end = peaks->first[fp_bones[limb].end];
  const uint32_t starts = peaks->first[fp_bones[limb].start + 1] - first_start;
  const uint32_t ends = peaks->first[fp_bones[limb].end + 1] - first_end;
  const fp_limb* candidates = limbs->candidates.data;
  double* keys = limbs->keys.data;
  uint32_t* order = limbs->order.data;
  uint8_t* taken = limbs->taken.data;
  for (uint32_t at = 0; at < count; ++at) keys[at] = candidates[at].score;
  fp_rank_falling(keys, order, limbs->spare.data, count);
  memset(taken, 0, (size_t)starts + ends);
  fp_limb* items = limbs->items.data;
  for (uint32_t at = 0; at < count; ++at) {
    const fp_limb* limb_of = &candidates[order[at]];
    uint8_t *tail = &taken[limb_of->start - first_start], *head = &taken[starts + limb_of->end - first_end];
    if (*tail || *head) continue;
    *tail = *head = 1;
    items[limbs->count++] = *limb_of;
  }
}

static uint32_t pairs_of(const fp_peaks* peaks, fp_bone bone) {
  return (peaks->first[bone.start + 1] - peaks->first[bone.start]) *
         (peaks->first[bone.end + 1] - peaks->first[bone.end]);
}

fp_status fp_find_limbs(fp_limbs* limbs, const fp_peaks* peaks, const fp_map* fields, const fp_limb_rule* rule,
                        uint32_t most, fp_error* error) {
  const size_t pairs = (size_t)most * most;
  if (fp_space_for(&limbs->candidates, pairs, sizeof(fp_limb)) == NULL ||
      fp_space_for(&limbs->keys, pairs, sizeof(double)) == NULL ||
      fp_space_for(&limbs->order, pairs, sizeof(uint32_t)) == NULL ||
      fp_space_for(&limbs->spare, pairs, sizeof(uint32_t)) == NULL ||
      fp_space_for(&limbs->taken, 2 * (size_t)most, 1) == NULL ||
      fp_space_for(&limbs->items, (size_t)most * FP_LIMBS, sizeof(fp_limb)) == NULL ||
      fp_space_for(&limbs->field, fp_field_floats(fields), sizeof(float)) == NULL) {
    return fp_no_room(error);
  }
  fp_steps steps;
  make_steps(rule, &steps);
  limbs->count = 0;
  for (uint32_t limb = 0; limb < FP_LIMBS; ++limb) {
    const fp_bone bone = fp_bones[limb];
    if (pairs_of(peaks, bone) == 0) continue;
    fp_field field = fp_pad_field(fields, limb, limbs->field.data);
    if (pairs_of(peaks, bone) >= FP_MANY_PAIRS) fp_find_quiet(&field, fields, steps.threshold, limbs->field.data);
    match(limbs, peaks, limb, find_candidates(limbs, peaks, &field, limb, &steps));
  }
  return FP_OK;
}
