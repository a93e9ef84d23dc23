#include "pose/decoding/paf.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/decoding/skeleton.h"
#include "pose/numbers.h"

const fp_paf_settings fp_paf_defaults = {.peak_threshold = 0.1,
                                         .radius = 0.75,
                                         .samples = 10,
                                         .sample_threshold = 0.05,
                                         .counted_share = 0.8,
                                         .least_keypoints = 3,
                                         .least_score = 0.2,
                                         .most_peaks = 128};

/* A person being put together: peaks by their numbers, -1 where there is none. */
typedef struct fp_group {
  int32_t members[FP_KEYPOINTS];
  double score;
} fp_group;

void fp_paf_free(fp_paf* paf) {
  fp_peaks_free(&paf->peaks);
  fp_limbs_free(&paf->limbs);
  fp_space_free(&paf->groups);
  fp_space_free(&paf->owners);
}

/* Gives the owner of peak `from` of keypoint `part` the peak `to` of keypoint `missing`, where that is missing. */
static int fill_gap(fp_group* groups, int32_t* owners, uint32_t part, uint32_t from, uint32_t missing, uint32_t to) {
  const int32_t owner = owners[from];
  if (owner < 0 || groups[owner].members[part] != (int32_t)from || groups[owner].members[missing] >= 0) return 0;
  groups[owner].members[missing] = (int32_t)to;
  if (owners[to] < 0) owners[to] = owner;
  return 1;
}

/* Joins limbs that share a peak; answers how many people there are. An end of the tree's limbs is always new. */
static uint32_t assemble(const fp_paf* paf) {
  fp_group* groups = paf->groups.data;
  int32_t* owners = paf->owners.data;
  const fp_peak* peaks = fp_peaks_items(&paf->peaks);
  const fp_limb* limbs = paf->limbs.items.data;
  uint32_t count = 0;
  for (uint32_t at = 0; at < paf->peaks.first[FP_KEYPOINTS]; ++at) owners[at] = -1;
  for (const fp_limb* limb = limbs; limb < limbs + paf->limbs.count; ++limb) {
    const fp_bone bone = fp_bones[limb->limb];
    if (limb->limb >= FP_TREE_LIMBS) {
      if (!fill_gap(groups, owners, bone.start, limb->start, bone.end, limb->end)) {
        fill_gap(groups, owners, bone.end, limb->end, bone.start, limb->start);
      }
      continue;
    }
    if (owners[limb->start] < 0) {
      owners[limb->start] = (int32_t)count;
      fp_group* fresh = &groups[count++];
      for (uint32_t part = 0; part < FP_KEYPOINTS; ++part) fresh->members[part] = -1;
      fresh->members[bone.start] = (int32_t)limb->start;
      fresh->score = peaks[limb->start].score;
    }
    fp_group* group = &groups[owners[limb->start]];
    group->members[bone.end] = (int32_t)limb->end;
    owners[limb->end] = owners[limb->start];
    group->score += peaks[limb->end].score + limb->score;
  }
  return count;
}

static void add_body(const fp_group* group, const fp_peak* peaks, const fp_placement* placement, fp_size cells,
                     fp_body* body) {
  for (uint32_t part = 0; part < FP_KEYPOINTS; ++part) {
    const int32_t member = group->members[part];
    body->x[part] = member < 0 ? FP_NAN : peaks[member].x;
    body->y[part] = member < 0 ? FP_NAN : peaks[member].y;
    body->scores[part] = member < 0 ? 0 : peaks[member].score;
    if (member >= 0) fp_to_image(placement, cells, &body->x[part], &body->y[part]);
  }
  body->score = group->score;
  body->identity = 0;
}

static uint32_t members_of(const fp_group* group) {
  uint32_t count = 0;
  for (uint32_t part = 0; part < FP_KEYPOINTS; ++part) count += group->members[part] >= 0;
  return count;
}

static fp_status check(const fp_map* heatmaps, const fp_map* fields, fp_error* error) {
  fp_status status = fp_check_map(heatmaps, FP_HEATMAPS, error);
  if (status == FP_OK) status = fp_check_map(fields, FP_FIELDS, error);
  return status == FP_OK ? fp_check_same_size(heatmaps, fields, error) : status;
}

fp_status fp_paf_decode(fp_paf* paf, const fp_paf_settings* settings, const fp_map* heatmaps, const fp_map* fields,
                        const fp_placement* placement, fp_bodies* bodies, fp_error* error) {
  const uint32_t most = settings->most_peaks * FP_KEYPOINTS;
  const fp_limb_rule rule = {settings->samples, settings->sample_threshold, settings->counted_share};
  fp_status status = check(heatmaps, fields, error);
  if (status != FP_OK) return status;
  fp_body* items = fp_bodies_start(bodies, most);
  fp_group* groups = fp_space_for(&paf->groups, most, sizeof(fp_group));
  if (items == NULL || groups == NULL || fp_space_for(&paf->owners, most, sizeof(int32_t)) == NULL) {
    return fp_no_room(error);
  }
  status =
      fp_find_peaks(&paf->peaks, heatmaps, settings->peak_threshold, settings->radius, settings->most_peaks, error);
  if (status == FP_OK) status = fp_find_limbs(&paf->limbs, &paf->peaks, fields, &rule, settings->most_peaks, error);
  if (status != FP_OK) return status;
  const uint32_t count = assemble(paf);
  for (uint32_t at = 0; at < count; ++at) {
    const uint32_t members = members_of(&groups[at]);
    if (members < settings->least_keypoints || !(groups[at].score >= settings->least_score * members)) continue;
    const fp_size cells = {heatmaps->height, heatmaps->width};
    add_body(&groups[at], fp_peaks_items(&paf->peaks), placement, cells, &items[bodies->count++]);
  }
  fp_bodies_sort(bodies);
  return FP_OK;
}
