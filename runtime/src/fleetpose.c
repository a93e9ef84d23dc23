#include "fleetpose.h"

#include "core/error.h"
#include "core/libc.h"
#include "network.h"

/* The package inside this library, where there is one: `codegen.build --format library` links it. */
__attribute__((weak, visibility("hidden"))) extern const uint8_t fp_own_package[];
__attribute__((weak, visibility("hidden"))) extern const uint64_t fp_own_package_bytes;

static fp_status open_package(fp_status opened, fp_package* package, const fp_options* options, fp_network** network,
                              fp_error* error) {
  return opened == FP_OK ? fp_network_open(package, options, network, error) : opened;
}

fp_status fp_open(const char* path, const fp_options* options, fp_network** network, fp_error* error) {
  if (network == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "there is no place for the network: a null pointer");
  *network = NULL;
  fp_package package;
  return open_package(fp_package_open_file(&package, path, error), &package, options, network, error);
}

fp_status fp_open_memory(const void* bytes, size_t size, const fp_options* options, fp_network** network,
                         fp_error* error) {
  if (network == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "there is no place for the network: a null pointer");
  *network = NULL;
  fp_package package;
  return open_package(fp_package_open_memory(&package, bytes, size, error), &package, options, network, error);
}

fp_status fp_open_own(const fp_options* options, fp_network** network, fp_error* error) {
  if (network == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "there is no place for the network: a null pointer");
  *network = NULL;
  if (&fp_own_package_bytes == NULL) return fp_fail(error, FP_FILE_ERROR, "this library has no package of its own");
  return fp_open_memory(fp_own_package, fp_own_package_bytes, options, network, error);
}

void fp_close(fp_network* network) {
  if (network != NULL) fp_network_close(network);
}

uint32_t fp_size_count(const fp_network* network) { return network != NULL ? network->package.entry_count : 0; }

fp_size fp_size_at(const fp_network* network, uint32_t size) {
  if (size >= fp_size_count(network)) return (fp_size){0, 0};
  return (fp_size){network->package.entries[size].height, network->package.entries[size].width};
}

uint32_t fp_input_channels(const fp_network* network) {
  return network != NULL ? network->package.entries[0].channels : 0;
}

uint32_t fp_output_count(const fp_network* network) {
  return network != NULL ? network->package.entries[0].output_count : 0;
}

fp_output fp_output_at(const fp_network* network, uint32_t size, uint32_t output) {
  if (size >= fp_size_count(network) || output >= fp_output_count(network)) return (fp_output){NULL, 0, 0, 0};
  const fp_package* package = &network->package;
  const fpk_output* record = &package->outputs[package->entries[size].first_output + output];
  return (fp_output){fp_package_string(package, record->name), record->channels, record->height, record->width};
}

const char* fp_manifest(const fp_network* network) { return network != NULL ? network->package.manifest : NULL; }

const char* fp_device(const fp_network* network) { return network != NULL ? network->device.line : NULL; }

fp_status fp_run(fp_network* network, uint32_t size, const float* input, float* const* outputs, fp_error* error) {
  if (network == NULL || input == NULL)
    return fp_fail(error, FP_BAD_ARGUMENT, "no network or no input: a null pointer");
  if (size >= network->package.entry_count) {
    return fp_fail(error, FP_BAD_ARGUMENT, "input size %u is none of the network's %u", size,
                   network->package.entry_count);
  }
  fp_lock_take(&network->lock);
  const fp_status status = fp_network_infer(network, size, input, outputs, error);
  fp_lock_release(&network->lock);
  return status == FP_OK ? fp_succeed(error) : status;
}

/* secs: NULL for a picture by itself. */
static fp_status find_people(fp_network* network, const fp_image* image, const double* secs, fp_person* people,
                             uint32_t capacity, uint32_t* count, fp_error* error) {
  if (network == NULL || image == NULL || count == NULL || (people == NULL && capacity > 0)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "no network, no picture or no place for people: a null pointer");
  }
  fp_people_room room = {people, capacity, 0};
  fp_lock_take(&network->lock);
  const fp_status status = fp_finder_find(network, image, secs, &room, error);
  fp_lock_release(&network->lock);
  *count = status == FP_OK ? room.count : 0;
  return status == FP_OK ? fp_succeed(error) : status;
}

fp_status fp_people(fp_network* network, const fp_image* image, fp_person* people, uint32_t capacity, uint32_t* count,
                    fp_error* error) {
  return find_people(network, image, NULL, people, capacity, count, error);
}

fp_status fp_follow(fp_network* network, const fp_image* image, double secs, fp_person* people, uint32_t capacity,
                    uint32_t* count, fp_error* error) {
  return find_people(network, image, &secs, people, capacity, count, error);
}

void fp_restart(fp_network* network) {
  if (network == NULL) return;
  fp_lock_take(&network->lock);
  if (network->finder.pose != NULL) fp_pose_restart(network->finder.pose);
  fp_lock_release(&network->lock);
}

uint32_t fp_times(fp_network* network, fp_time* times, uint32_t capacity) {
  if (network == NULL || !(network->flags & FP_FLAG_EVENTS)) return 0;
  fp_lock_take(&network->lock);
  uint32_t count = 0;
  if (network->last != FP_NO_ENTRY && network->session.secs != NULL) {
    const fpk_entry* entry = &network->package.entries[network->last];
    count = entry->step_count;
    for (uint32_t i = 0; i < count && i < capacity && times != NULL; ++i) {
      const uint32_t step = entry->first_step + i;
      const char* name = fp_package_string(&network->package, network->package.steps[step].name);
      times[i] = (fp_time){name, network->session.secs[step]};
    }
  }
  fp_lock_release(&network->lock);
  return count;
}

uint32_t fp_replaced(fp_network* network, const char** names, uint32_t capacity) {
  if (network == NULL) return 0;
  fp_lock_take(&network->lock);
  uint32_t count = 0;
  for (uint32_t step = 0; step < network->package.step_count; ++step) {
    if (network->cache.steps[step] != FP_STEP_REPLACED) continue;
    if (count < capacity && names != NULL) {
      names[count] = fp_package_string(&network->package, network->package.steps[step].name);
    }
    ++count;
  }
  fp_lock_release(&network->lock);
  return count;
}
