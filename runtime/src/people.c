#include "people.h"

#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"
#include "network.h"

static uint64_t input_bytes(const fpk_entry* entry) {
  return fp_tensor_bytes(entry->channels, entry->height, entry->width, sizeof(float));
}

static uint64_t output_bytes(const fpk_output* output) {
  return fp_tensor_bytes(output->channels, output->height, output->width, sizeof(float));
}

/* The entry's outputs as maps; their values, one after the other from `values` on, may be none yet. */
static void point_at_outputs(fp_finder* finder, const fp_package* package, uint32_t entry) {
  const fpk_entry* record = &package->entries[entry];
  float* values = finder->values;
  for (uint32_t i = 0; i < record->output_count; ++i) {
    const fpk_output* output = &package->outputs[record->first_output + i];
    finder->outputs[i] = values;
    finder->maps[i] =
        (fp_map){fp_package_string(package, output->name), values, output->channels, output->height, output->width};
    if (values != NULL) values += output_bytes(output) / sizeof(float);
  }
}

/* Whether the decoder reads what the network computes at every size. */
static fp_status check_outputs(fp_finder* finder, const fp_package* package, fp_error* error) {
  fp_status status = FP_OK;
  for (uint32_t i = 0; i < package->entry_count && status == FP_OK; ++i) {
    point_at_outputs(finder, package, i);
    status = fp_pose_check(finder->pose, package->entries[i].channels, finder->maps, package->entries[i].output_count,
                           error);
  }
  return status;
}

fp_status fp_finder_open(fp_finder* finder, const fp_package* package, fp_error* error) {
  const uint32_t outputs = package->entries[0].output_count;
  finder->sizes = calloc(package->entry_count, sizeof(fp_size));
  finder->maps = calloc(outputs, sizeof(fp_map));
  finder->outputs = calloc(outputs, sizeof(float*));
  if (finder->sizes == NULL || finder->maps == NULL || finder->outputs == NULL) {
    return fp_fail(error, FP_NO_MEMORY, "no memory for %u outputs", outputs);
  }
  for (uint32_t i = 0; i < package->entry_count; ++i) {
    finder->sizes[i] = (fp_size){package->entries[i].height, package->entries[i].width};
  }
  fp_status status = fp_pose_create(&package->settings, &finder->pose, &finder->refusal);
  if (status == FP_OK) status = check_outputs(finder, package, &finder->refusal);
  if (status == FP_OK) return FP_OK;
  fp_pose_destroy(finder->pose);
  finder->pose = NULL;
  return status == FP_NOT_A_POSE_NETWORK ? FP_OK : fp_fail(error, status, "%s", finder->refusal.text);
}

void fp_finder_close(fp_finder* finder) {
  fp_pose_destroy(finder->pose);
  free(finder->sizes);
  free(finder->maps);
  free(finder->outputs);
  free(finder->input);
  free(finder->values);
}

/* Room for the largest input and the largest outputs, at the first picture. */
static fp_status make_room(fp_finder* finder, const fp_package* package, fp_error* error) {
  uint64_t inputs = 0, outputs = 0;
  if (finder->input != NULL) return FP_OK;
  for (uint32_t i = 0; i < package->entry_count; ++i) {
    const fpk_entry* entry = &package->entries[i];
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < entry->output_count; ++k)
      bytes += output_bytes(&package->outputs[entry->first_output + k]);
    if (bytes > outputs) outputs = bytes;
    if (input_bytes(entry) > inputs) inputs = input_bytes(entry);
  }
  free(finder->values); /* of an attempt that had no memory for both */
  finder->values = malloc(outputs);
  finder->input = finder->values != NULL ? malloc(inputs) : NULL;
  return finder->input != NULL ? FP_OK : fp_fail(error, FP_NO_MEMORY, "no memory for an input of the network");
}

fp_status fp_finder_find(fp_network* network, const fp_image* image, const double* secs, fp_people_room* room,
                         fp_error* error) {
  fp_finder* finder = &network->finder;
  const fp_package* package = &network->package;
  if (finder->pose == NULL) return fp_fail(error, finder->refusal.status, "%s", finder->refusal.text);
  uint32_t entry = 0;
  fp_status status = fp_pose_choose_size(image, finder->sizes, package->entry_count, &entry, error);
  if (status == FP_OK) status = make_room(finder, package, error);
  if (status == FP_OK) status = fp_pose_fill(finder->pose, image, finder->sizes[entry], finder->input, error);
  if (status != FP_OK) return status;
  point_at_outputs(finder, package, entry);
  status = fp_network_infer(network, entry, finder->input, finder->outputs, error);
  if (status != FP_OK) return status;
  const uint32_t count = package->entries[entry].output_count;
  return secs == NULL ? fp_pose_decode(finder->pose, finder->maps, count, room, error)
                      : fp_pose_follow(finder->pose, finder->maps, count, *secs, room, error);
}
