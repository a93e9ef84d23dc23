#include "pose/constants.h"

#include "core/error.h"
#include "core/libc.h"
#include "pose/numbers.h"

/* The most people, peaks of a part, and frames that a setting may ask for. */
enum { FP_MOST_PEOPLE = 512, FP_MOST_PEAKS = 1024, FP_MOST_FRAMES = 100000, FP_WIDEST_KERNEL = 31 };

/* A reader of settings: after the first that is wrong it reads nothing more. */
typedef struct fp_reader {
  const fp_settings* settings;
  fp_error* error;
  fp_status status;
} fp_reader;

/* The number of that name, from `low` to `high`; as it was where there is none. */
static void read_number(fp_reader* reader, const char* name, double low, double high, double* number) {
  if (reader->status != FP_OK) return;
  const double value = fp_setting_number(reader->settings, name, *number);
  if (value >= low && value <= high) {
    *number = value;
    return;
  }
  reader->status =
      fp_fail(reader->error, FP_BAD_PACKAGE, "the setting %s is from %g to %g, not %g", name, low, high, value);
}

static void read_count(fp_reader* reader, const char* name, uint32_t low, uint32_t high, uint32_t* count) {
  double value = *count;
  read_number(reader, name, low, high, &value);
  if (reader->status != FP_OK) return;
  if (value != fp_round(value)) {
    reader->status = fp_fail(reader->error, FP_BAD_PACKAGE, "the setting %s is a whole number, not %g", name, value);
    return;
  }
  *count = (uint32_t)value;
}

#define FP_ANY 1e9 /* within which thresholds lie */

static void read_paf(fp_reader* reader, fp_paf_settings* paf) {
  /* Below 0 every cell of a map would hold a peak, but never more than most_peaks are considered. */
  read_number(reader, "decoding.peak_threshold", -FP_ANY, FP_ANY, &paf->peak_threshold);
  read_number(reader, "decoding.radius", 0, FP_ANY, &paf->radius);
  read_count(reader, "decoding.samples", 1, FP_MOST_SAMPLES, &paf->samples);
  read_number(reader, "decoding.sample_threshold", -FP_ANY, FP_ANY, &paf->sample_threshold);
  read_number(reader, "decoding.counted_share", 0, 1, &paf->counted_share);
  read_count(reader, "decoding.least_keypoints", 0, FP_KEYPOINTS + 1, &paf->least_keypoints);
  read_number(reader, "decoding.least_score", -FP_ANY, FP_ANY, &paf->least_score);
  read_count(reader, "decoding.most_peaks", 1, FP_MOST_PEAKS, &paf->most_peaks);
}

/* Pooling is around a cell, so its side is odd. */
static void read_kernel(fp_reader* reader, const char* name, uint32_t* side) {
  read_count(reader, name, 1, FP_WIDEST_KERNEL, side);
  if (reader->status == FP_OK && *side % 2 == 0) {
    reader->status = fp_fail(reader->error, FP_BAD_PACKAGE, "the setting %s is odd, not %u", name, *side);
  }
}

static void read_embedding(fp_reader* reader, fp_embedding_settings* embedding) {
  read_kernel(reader, "decoding.kernel", &embedding->kernel);
  read_number(reader, "decoding.peak_threshold", -FP_ANY, FP_ANY, &embedding->peak_threshold);
  read_count(reader, "decoding.most_people", 1, FP_MOST_PEOPLE, &embedding->most_people);
  read_number(reader, "decoding.tag_threshold", 0, FP_ANY, &embedding->tag_threshold);
  read_count(reader, "decoding.least_keypoints", 0, FP_COCO_KEYPOINTS + 1, &embedding->least_keypoints);
  read_count(reader, "decoding.refine", 0, 1, &embedding->refine);
}

static void read_regression(fp_reader* reader, fp_regression_settings* regression) {
  uint32_t count = 0;
  for (; count < FP_MOST_KERNELS; ++count) {
    char name[40];
    snprintf(name, sizeof(name), "decoding.kernels.%u.0", count);
    if (fp_missing(fp_setting_number(reader->settings, name, FP_NAN))) break;
    fp_pooling* kernel = &regression->kernels[count];
    *kernel = (fp_pooling){0, 3};
    read_number(reader, name, -FP_ANY, FP_ANY, &kernel->cells);
    snprintf(name, sizeof(name), "decoding.kernels.%u.1", count);
    read_kernel(reader, name, &kernel->side);
  }
  if (count > 0) regression->kernel_count = count;
  read_number(reader, "decoding.centre_threshold", -FP_ANY, FP_ANY, &regression->centre_threshold);
  read_count(reader, "decoding.most_people", 1, FP_MOST_PEOPLE, &regression->most_people);
  read_number(reader, "decoding.near", 0, FP_ANY, &regression->near);
  read_count(reader, "decoding.same_joints", 0, FP_COCO_KEYPOINTS, &regression->same_joints);
}

static void read_following(fp_reader* reader, fp_track_settings* tracking, fp_smoothing_settings* smoothing) {
  const double least = 1e-9;
  read_number(reader, "tracking.similar", least, 1 - least, &tracking->similar);
  read_count(reader, "tracking.least_similar", 1, FP_KEYPOINTS + 1, &tracking->least_similar);
  read_count(reader, "tracking.max_missing", 0, FP_MOST_FRAMES, &tracking->max_missing);
  read_count(reader, "tracking.sure_keypoints", 0, FP_KEYPOINTS + 1, &tracking->sure_keypoints);
  read_count(reader, "tracking.least_seen", 0, FP_MOST_FRAMES, &tracking->least_seen);
  read_number(reader, "smoothing.freq", least, FP_ANY, &smoothing->freq);
  read_number(reader, "smoothing.min_cutoff", least, FP_ANY, &smoothing->min_cutoff);
  read_number(reader, "smoothing.beta", 0, FP_ANY, &smoothing->beta);
  read_number(reader, "smoothing.derivative_cutoff", least, FP_ANY, &smoothing->derivative_cutoff);
  read_number(reader, "smoothing.forget_secs", 0, FP_ANY, &smoothing->forget_secs);
}

static void read_preprocessing(fp_reader* reader, fp_preprocessing* preprocessing) {
  static const char* const orders[] = {[FP_ORDER_BGR] = "BGR", [FP_ORDER_RGB] = "RGB", [FP_ORDER_GREY] = "GREY"};
  const char* order = fp_setting_text(reader->settings, "preprocessing.channels", NULL);
  double scale = fp_setting_number(reader->settings, "preprocessing.scale", FP_NAN);
  if (order == NULL || fp_missing(scale)) {
    reader->status =
        fp_fail(reader->error, FP_NOT_A_POSE_NETWORK, "the package says nothing of its input's preprocessing");
    return;
  }
  for (preprocessing->order = FP_ORDER_GREY; preprocessing->order >= 0; --preprocessing->order) {
    if (strcmp(order, orders[preprocessing->order]) == 0) break;
  }
  if (preprocessing->order < 0) {
    reader->status =
        fp_fail(reader->error, FP_BAD_PACKAGE, "the setting preprocessing.channels is BGR, RGB or GREY, not %s", order);
    return;
  }
  preprocessing->channels = preprocessing->order == FP_ORDER_GREY ? 1 : 3;
  read_number(reader, "preprocessing.scale", -FP_ANY, FP_ANY, &scale);
  preprocessing->scale = (float)scale;
  for (uint32_t channel = 0; channel < preprocessing->channels; ++channel) {
    static const char* const names[] = {"preprocessing.mean.0", "preprocessing.mean.1", "preprocessing.mean.2"};
    double mean = FP_NAN; /* which fails where there is none */
    read_number(reader, names[channel], -FP_ANY, FP_ANY, &mean);
    preprocessing->mean[channel] = (float)mean;
  }
}

static void read_decoder(fp_reader* reader, fp_decoder* decoder) {
  static const char* const names[] = {[FP_DECODER_PAF] = "paf",
                                      [FP_DECODER_EMBEDDING] = "associative_embedding",
                                      [FP_DECODER_REGRESSION] = "keypoint_regression"};
  const char* name = fp_setting_text(reader->settings, "decoder", "");
  for (int at = FP_DECODER_PAF; at <= FP_DECODER_REGRESSION; ++at) {
    if (strcmp(name, names[at]) == 0) {
      *decoder = (fp_decoder)at;
      return;
    }
  }
  reader->status = *name == '\0'
                       ? fp_fail(reader->error, FP_NOT_A_POSE_NETWORK, "no decoder reads this network's outputs")
                       : fp_fail(reader->error, FP_NOT_A_POSE_NETWORK,
                                 "%s decoding is not in this runtime, which has paf, associative_embedding and "
                                 "keypoint_regression",
                                 name);
}

fp_status fp_read_constants(const fp_settings* settings, fp_constants* constants, fp_error* error) {
  fp_reader reader = {settings, error, FP_OK};
  constants->paf = fp_paf_defaults;
  constants->embedding = fp_embedding_defaults;
  constants->regression = fp_regression_defaults;
  constants->tracking = fp_track_defaults;
  constants->smoothing = fp_smoothing_defaults;
  read_decoder(&reader, &constants->decoder);
  if (reader.status == FP_OK) read_preprocessing(&reader, &constants->preprocessing);
  if (reader.status != FP_OK) return reader.status;
  if (constants->decoder == FP_DECODER_PAF) read_paf(&reader, &constants->paf);
  if (constants->decoder == FP_DECODER_EMBEDDING) read_embedding(&reader, &constants->embedding);
  if (constants->decoder == FP_DECODER_REGRESSION) read_regression(&reader, &constants->regression);
  read_following(&reader, &constants->tracking, &constants->smoothing);
  return reader.status;
}
