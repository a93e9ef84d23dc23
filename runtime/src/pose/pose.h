/* From pictures to inputs and from maps to people: what the core calls.
 *
 * An fp_pose has a network's constants of preprocessing, decoding, tracking and smoothing, and memory that it keeps
 * from frame to frame. It is used by one thread at a time. Per frame: fp_pose_fill, the network, then fp_pose_decode
 * for a picture by itself or fp_pose_follow for the next frame of a video. */
#ifndef FLEETPOSE_POSE_POSE_H
#define FLEETPOSE_POSE_POSE_H

#include "core/settings.h"
#include "fleetpose.h"
#include "pose/decoding/maps.h"

typedef struct fp_pose fp_pose;

/* Room for what fp_pose_decode and fp_pose_follow find. */
typedef struct fp_people_room {
  fp_person* people; /* may be NULL where capacity is 0 */
  uint32_t capacity;
  uint32_t count; /* answered: how many there are, of which the first `capacity` are written, best first */
} fp_people_room;

/* Reads the settings, which need not be kept:
 *
 *   decoder                      "paf", "associative_embedding" or "keypoint_regression"
 *   preprocessing.channels       "BGR", "RGB" or "GREY"; .scale; .mean.0, and .mean.1, .mean.2 where there are three
 *   decoding.FIELD               of PafSettings, EmbeddingSettings or RegressionSettings; of the latter's kernels
 *                                decoding.kernels.I.0 (cells) and decoding.kernels.I.1 (side), I from 0 on
 *   tracking.FIELD, smoothing.FIELD   of TrackSettings, of OneEuroSettings and forget_secs
 *
 * A field that is missing has Python's default. FP_NOT_A_POSE_NETWORK where there is no decoder or no preprocessing, or
 * the decoder is one that Python alone has; FP_BAD_PACKAGE where a setting is none. On failure *pose is NULL. */
fp_status fp_pose_create(const fp_settings* settings, fp_pose** pose, fp_error* error);
void fp_pose_destroy(fp_pose* pose);

/* FP_NOT_A_POSE_NETWORK unless an input of so many channels is what is made of pictures, and these outputs, of which
 * the data is not looked at, are those that the decoder reads. */
fp_status fp_pose_check(const fp_pose* pose, uint32_t input_channels, const fp_map* outputs, uint32_t count,
                        fp_error* error);

/* The index, of `count` input sizes, of the one in which the picture is largest. */
fp_status fp_pose_choose_size(const fp_image* image, const fp_size* sizes, uint32_t count, uint32_t* chosen,
                              fp_error* error);

/* Fills `input`, (channels, height, width) of `size`, and keeps where the picture lies in it for what follows. */
fp_status fp_pose_fill(fp_pose* pose, const fp_image* image, fp_size size, float* input, fp_error* error);

/* The same without a picture: one of `image` pixels lies in an input of `size`. */
fp_status fp_pose_place(fp_pose* pose, fp_size image, fp_size size, fp_error* error);

/* People in the outputs, found by their names; other outputs are not read. */
fp_status fp_pose_decode(fp_pose* pose, const fp_map* outputs, uint32_t count, fp_people_room* room, fp_error* error);

/* The same for the next frame of a video, at `secs`, with identities and steadied keypoints. */
fp_status fp_pose_follow(fp_pose* pose, const fp_map* outputs, uint32_t count, double secs, fp_people_room* room,
                         fp_error* error);

/* Forgets who was there. */
void fp_pose_restart(fp_pose* pose);

#endif
