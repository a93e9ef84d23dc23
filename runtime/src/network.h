/* What a handle holds: a package, a device, and a session of one on the other. */
#ifndef FLEETPOSE_NETWORK_H
#define FLEETPOSE_NETWORK_H

#include "core/lock.h"
#include "core/package.h"
#include "opencl/session.h"
#include "people.h"

struct fp_network {
  fp_lock lock; /* around all calls that do more than read the package */
  fp_package package;
  fp_opencl_device device;
  fp_cache cache;
  fp_session session;
  fp_finder finder;
  uint32_t flags;    /* of the options */
  uint8_t* is_ready; /* of each entry: made, and checked or known to be right */
  uint32_t last;     /* entry of the last inference, for times; FP_NO_ENTRY: none */
};

#define FP_NO_ENTRY UINT32_MAX

/* Opens a network on a package, which it takes over, also where it fails. The first entry is ready. */
fp_status fp_network_open(fp_package* package, const fp_options* options, fp_network** network, fp_error* error);
void fp_network_close(fp_network* network);

/* Makes an entry ready: memory, kernels, self-check, recording. Call with the lock held. */
fp_status fp_network_prepare(fp_network* network, uint32_t entry, fp_error* error);

/* One inference, see fp_run. Call with the lock held. */
fp_status fp_network_infer(fp_network* network, uint32_t entry, const float* input, float* const* outputs,
                           fp_error* error);

#endif
