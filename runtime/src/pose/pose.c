#include "pose/pose.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/constants.h"
#include "pose/image/rows.h"
#include "pose/numbers.h"

struct fp_pose {
  fp_constants constants;
  fp_placement placement;
  int is_placed;
  fp_resizer resizer;
  fp_paf paf;
  fp_embedding embedding;
  fp_regression regression;
  fp_bodies bodies;
  fp_tracker tracker;
  fp_smoother smoother;
};

/* Outputs of each decoder that it needs, and one that it reads if it is there. */
static const struct {
  const char *first, *second, *optional;
} outputs_of[] = {[FP_DECODER_PAF] = {"heatmaps", "pafs", NULL},
                  [FP_DECODER_EMBEDDING] = {"heatmaps", "tags", NULL},
                  [FP_DECODER_REGRESSION] = {"centres", "offsets", "heatmaps"}};

fp_status fp_pose_create(const fp_settings* settings, fp_pose** pose, fp_error* error) {
  *pose = NULL;
  fp_constants constants;
  const fp_status status = fp_read_constants(settings, &constants, error);
  if (status != FP_OK) return status;
  fp_pose* made = malloc(sizeof(fp_pose));
  if (made == NULL) return fp_no_room(error);
  memset(made, 0, sizeof(fp_pose));
  made->constants = constants;
  *pose = made;
  return FP_OK;
}

void fp_pose_destroy(fp_pose* pose) {
  if (pose == NULL) return;
  fp_resizer_free(&pose->resizer);
  fp_paf_free(&pose->paf);
  fp_embedding_free(&pose->embedding);
  fp_regression_free(&pose->regression);
  fp_bodies_free(&pose->bodies);
  fp_tracker_free(&pose->tracker);
  fp_smoother_free(&pose->smoother);
  free(pose);
}

static const fp_map* output_named(const fp_map* outputs, uint32_t count, const char* name) {
  for (uint32_t at = 0; name != NULL && at < count; ++at) {
    if (outputs[at].name != NULL && strcmp(outputs[at].name, name) == 0) return &outputs[at];
  }
  return NULL;
}

/* The decoder's outputs: needed, needed, and optional or NULL. */
static fp_status find_outputs(const fp_pose* pose, const fp_map* outputs, uint32_t count, const fp_map** three,
                              fp_error* error) {
  const fp_decoder decoder = pose->constants.decoder;
  three[0] = output_named(outputs, count, outputs_of[decoder].first);
  three[1] = output_named(outputs, count, outputs_of[decoder].second);
  three[2] = output_named(outputs, count, outputs_of[decoder].optional);
  if (three[0] != NULL && three[1] != NULL) return FP_OK;
  return fp_fail(error, FP_NOT_A_POSE_NETWORK,
                 "people are decoded from the outputs %s and %s, which are not both there", outputs_of[decoder].first,
                 outputs_of[decoder].second);
}

fp_status fp_pose_check(const fp_pose* pose, uint32_t input_channels, const fp_map* outputs, uint32_t count,
                        fp_error* error) {
  const uint32_t channels = pose->constants.preprocessing.channels;
  const fp_map* three[3];
  if (input_channels != channels) {
    return fp_fail(error, FP_NOT_A_POSE_NETWORK, "the network takes %u channels, but a picture is preprocessed to %u",
                   input_channels, channels);
  }
  return find_outputs(pose, outputs, count, three, error);
}

static int is_size(fp_size size) {
  return size.height - 1 < FP_LONGEST_SIDE && size.width - 1 < FP_LONGEST_SIDE; /* 0 wraps round */
}

static fp_status refuse_size(fp_size size, fp_error* error) {
  return fp_fail(error, FP_BAD_ARGUMENT, "sizes have sides of 1 to %u, not %u x %u", FP_LONGEST_SIDE, size.height,
                 size.width);
}

fp_status fp_pose_choose_size(const fp_image* image, const fp_size* sizes, uint32_t count, uint32_t* chosen,
                              fp_error* error) {
  const fp_status status = fp_check_image(image, error);
  if (status != FP_OK) return status;
  if (count == 0) return fp_fail(error, FP_BAD_ARGUMENT, "there are no input sizes to choose from");
  for (uint32_t at = 0; at < count; ++at) {
    if (!is_size(sizes[at])) return refuse_size(sizes[at], error);
  }
  *chosen = fp_choose_size(fp_upright_size(image), sizes, count);
  return FP_OK;
}

fp_status fp_pose_place(fp_pose* pose, fp_size image, fp_size size, fp_error* error) {
  if (!is_size(image)) return refuse_size(image, error);
  if (!is_size(size)) return refuse_size(size, error);
  pose->placement = fp_place(image, size);
  pose->is_placed = 1;
  return FP_OK;
}

fp_status fp_pose_fill(fp_pose* pose, const fp_image* image, fp_size size, float* input, fp_error* error) {
  fp_status status = fp_check_image(image, error);
  if (status == FP_OK) status = fp_pose_place(pose, fp_upright_size(image), size, error);
  if (status != FP_OK) return status;
  return fp_fill_input(&pose->resizer, image, &pose->placement, &pose->constants.preprocessing, input, error);
}

static fp_status find_bodies(fp_pose* pose, const fp_map* outputs, uint32_t count, fp_error* error) {
  const fp_constants* constants = &pose->constants;
  const fp_map* three[3];
  if (!pose->is_placed) return fp_fail(error, FP_BAD_ARGUMENT, "no picture was brought to the network yet");
  const fp_status status = find_outputs(pose, outputs, count, three, error);
  if (status != FP_OK) return status;
  switch (constants->decoder) {
    case FP_DECODER_EMBEDDING:
      return fp_embedding_decode(&pose->embedding, &constants->embedding, three[0], three[1], &pose->placement,
                                 &pose->bodies, error);
    case FP_DECODER_REGRESSION:
      return fp_regression_decode(&pose->regression, &constants->regression, three[0], three[1], three[2],
                                  &pose->placement, &pose->bodies, error);
    default:
      return fp_paf_decode(&pose->paf, &constants->paf, three[0], three[1], &pose->placement, &pose->bodies, error);
  }
}

static void write_people(const fp_bodies* bodies, fp_people_room* room) {
  room->count = bodies->count;
  for (uint32_t at = 0; at < fp_least(bodies->count, room->capacity); ++at) {
    fp_body_to_person(fp_bodies_items(bodies) + at, &room->people[at]);
  }
}

fp_status fp_pose_decode(fp_pose* pose, const fp_map* outputs, uint32_t count, fp_people_room* room, fp_error* error) {
  room->count = 0;
  const fp_status status = find_bodies(pose, outputs, count, error);
  if (status == FP_OK) write_people(&pose->bodies, room);
  return status;
}

fp_status fp_pose_follow(fp_pose* pose, const fp_map* outputs, uint32_t count, double secs, fp_people_room* room,
                         fp_error* error) {
  room->count = 0;
  if (!(secs - secs == 0)) return fp_fail(error, FP_BAD_ARGUMENT, "the frame's time is not finite");
  fp_status status = find_bodies(pose, outputs, count, error);
  if (status != FP_OK) return status;
  status = fp_tracker_update(&pose->tracker, &pose->constants.tracking, &pose->bodies, secs, error);
  /* Speeds are those in the network's input, so that a scene is steadied alike at any resolution of the video. */
  const double scale = (double)pose->placement.content.height / pose->placement.image.height;
  if (status == FP_OK) {
    status = fp_smooth(&pose->smoother, &pose->constants.smoothing, scale, &pose->bodies, secs, error);
  }
  if (status == FP_OK) write_people(&pose->bodies, room);
  return status;
}

void fp_pose_restart(fp_pose* pose) {
  fp_tracker_restart(&pose->tracker);
  pose->smoother.count = 0;
}
