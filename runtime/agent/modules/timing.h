/* Times of what runs: TVM's time evaluator, both clocks of ours, and the log of kernels. */
#ifndef FLEETPOSE_AGENT_MODULES_TIMING_H
#define FLEETPOSE_AGENT_MODULES_TIMING_H

#include "agent/modules/session.h"

/* "runtime.RPCTimeEvaluator": a function that times a module's, by the events of its kernels. */
fp_status agent_time_evaluator(agent_session* session, agent_function* function, const agent_value* values, int count,
                               fp_error* error);
/* "fleetpose.opencl.timer_samples": what was timed since it was asked last, by events and by the wall clock. */
fp_status agent_timer_samples(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error);
/* "fleetpose.opencl.profile_start" and "profile_stop": when each kernel between the two began and ended. */
fp_status agent_profile_start(agent_session* session, agent_function* function, const agent_value* values, int count,
                              fp_error* error);
fp_status agent_profile_stop(agent_session* session, agent_function* function, const agent_value* values, int count,
                             fp_error* error);

#endif
