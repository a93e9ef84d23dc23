#include "network.h"

#include "core/error.h"
#include "core/libc.h"
#include "opencl/entry.h"
#include "opencl/programs.h"
#include "opencl/self_check.h"
#include "opencl/trial.h"

/* Options of an older caller are shorter; what they lack is zeros. */
static fp_status read_options(const fp_options* given, fp_options* options, fp_error* error) {
  memset(options, 0, sizeof(*options));
  if (given == NULL) return FP_OK;
  if (given->size < sizeof(given->size) + sizeof(given->flags)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "fp_options.size is %u: set it to sizeof(fp_options)", given->size);
  }
  memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
  return FP_OK;
}

static fp_status open_session(fp_network* network, fp_error* error) {
  return fp_session_open(&network->session, &network->package, &network->device, &network->cache, network->flags,
                         error);
}

static fp_status open_parts(fp_network* network, const fp_options* options, fp_error* error) {
  fp_status status = fp_finder_open(&network->finder, &network->package, error);
  if (status == FP_OK) status = fp_device_find(&network->device, options, error);
  if (status == FP_OK) status = fp_device_check(&network->device, &network->package, network->flags, error);
  if (status == FP_OK) {
    status = fp_cache_open(&network->cache, options->cache_folder, &network->package, &network->device, error);
  }
  if (status == FP_OK) {
    fp_trial_read(&network->cache, &network->package);
    status = open_session(network, error);
  }
  return status == FP_OK ? fp_network_prepare(network, 0, error) : status;
}

fp_status fp_network_open(fp_package* package, const fp_options* given, fp_network** network, fp_error* error) {
  fp_options options;
  fp_status status = read_options(given, &options, error);
  if (status == FP_OK && package->entry_count == 0) {
    status = fp_fail(error, FP_BAD_PACKAGE, "the package has single functions, and no network");
  }
  fp_network* made = status == FP_OK ? calloc(1, sizeof(fp_network)) : NULL;
  if (made != NULL) made->is_ready = calloc(package->entry_count, 1);
  if (made == NULL || made->is_ready == NULL) {
    free(made);
    fp_package_close(package);
    return status != FP_OK ? status : fp_fail(error, FP_NO_MEMORY, "no memory for a network");
  }
  made->package = *package;
  made->flags = options.flags;
  made->last = FP_NO_ENTRY;
  status = open_parts(made, &options, error);
  if (status != FP_OK) {
    fp_network_close(made);
    return status;
  }
  *network = made;
  return fp_succeed(error);
}

void fp_network_close(fp_network* network) {
  fp_session_close(&network->session);
  fp_cache_close(&network->cache, &network->package);
  fp_finder_close(&network->finder);
  fp_package_close(&network->package);
  free(network->is_ready);
  free(network);
}

/* After a kernel that does not end: leaves the session behind, and with it all that entries were made ready with. */
static void leave_session(fp_network* network) {
  fp_programs_keep(&network->session);
  fp_session_abandon(&network->session);
  memset(network->is_ready, 0, network->package.entry_count);
}

/* Puts the spare launches of a step that is not right in the place of its first ones. */
static fp_status replace(fp_network* network, const fp_finding* finding, fp_error* error) {
  const fpk_step* step = &network->package.steps[finding->step];
  uint8_t* state = &network->cache.steps[finding->step];
  const char* layer = fp_package_string(&network->package, step->name);
  const char* kind = fp_package_string(&network->package, step->kind);
  if (finding->verdict == FP_VERDICT_HUNG) leave_session(network);
  if (step->spare_count == 0 || *state == FP_STEP_REPLACED) {
    const char* spare = step->spare_count == 0 ? "the package has no second kernel for it" : "so is its second kernel";
    return fp_fail(error, FP_WRONG_RESULT, "layer %.80s (%.40s) is wrong on %.100s: %s, and %s", layer, kind,
                   network->device.line, finding->text, spare);
  }
  *state = FP_STEP_REPLACED;
  network->cache.is_changed = 1;
  return finding->verdict == FP_VERDICT_HUNG ? open_session(network, error) : FP_OK;
}

/* Checks an entry until all of its steps are right; every replacement starts again, because a kernel that is wrong may
 * have written anywhere. */
static fp_status check(fp_network* network, uint32_t entry, int compares, fp_error* error) {
  fp_status status = FP_OK;
  fp_finding finding = {.verdict = FP_VERDICT_WRONG};
  while (status == FP_OK && finding.verdict != FP_VERDICT_RIGHT) {
    status = fp_self_check(&network->session, entry, compares, &finding, error);
    if (status == FP_OK && finding.verdict != FP_VERDICT_RIGHT) status = replace(network, &finding, error);
  }
  if (compares) fp_trial_end(&network->cache);
  return status;
}

fp_status fp_network_prepare(fp_network* network, uint32_t entry, fp_error* error) {
  if (network->is_ready[entry]) return FP_OK;
  if (network->session.package == NULL) { /* it was left behind, and there is no new one yet */
    const fp_status opened = open_session(network, error);
    if (opened != FP_OK) return opened;
  }
  uint8_t* state = &network->cache.entries[entry];
  const int compares = *state != FP_ENTRY_CHECKED && !(network->flags & FP_FLAG_NO_SELF_CHECK);
  const fp_status status = check(network, entry, compares, error);
  if (status != FP_OK) return status;
  if (compares) {
    *state = FP_ENTRY_CHECKED;
    network->cache.is_changed = 1;
  }
  fp_programs_keep(&network->session);
  fp_cache_save(&network->cache, &network->package);
  if ((network->flags & FP_FLAG_RECORD) && !(network->flags & FP_FLAG_EVENTS)) {
    fp_recording_make(&network->session.recordings[entry], &network->session, entry);
  }
  network->is_ready[entry] = 1;
  return FP_OK;
}

fp_status fp_network_infer(fp_network* network, uint32_t entry, const float* input, float* const* outputs,
                           fp_error* error) {
  const fp_status status = fp_network_prepare(network, entry, error);
  if (status != FP_OK) return status;
  network->last = entry;
  return fp_entry_run(&network->session, entry, input, outputs, error);
}
