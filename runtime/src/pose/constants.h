/* A network's constants of preprocessing, decoding, tracking and smoothing, read from the settings of its package. */
#ifndef FLEETPOSE_POSE_CONSTANTS_H
#define FLEETPOSE_POSE_CONSTANTS_H

#include "core/settings.h"
#include "pose/decoding/embedding.h"
#include "pose/decoding/paf.h"
#include "pose/decoding/regression.h"
#include "pose/image/input.h"
#include "pose/tracking/smoothing.h"
#include "pose/tracking/tracks.h"

typedef enum fp_decoder { FP_DECODER_PAF, FP_DECODER_EMBEDDING, FP_DECODER_REGRESSION } fp_decoder;

typedef struct fp_constants {
  fp_decoder decoder;
  fp_preprocessing preprocessing;
  fp_paf_settings paf; /* the decoder's own are read, the others' are the defaults */
  fp_embedding_settings embedding;
  fp_regression_settings regression;
  fp_track_settings tracking;
  fp_smoothing_settings smoothing;
} fp_constants;

/* See fp_pose_create. */
fp_status fp_read_constants(const fp_settings* settings, fp_constants* constants, fp_error* error);

#endif
