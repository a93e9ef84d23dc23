/* Requests about the device and its memory: attributes, allocation, copies. */
#ifndef FLEETPOSE_AGENT_MODULES_DEVICE_REQUESTS_H
#define FLEETPOSE_AGENT_MODULES_DEVICE_REQUESTS_H

#include "agent/modules/session.h"

/* The error of a request that is none. */
fp_status agent_bad_request(fp_error* error);

/* Copies, whose values are in the request itself. */
fp_status agent_copy_from_remote(agent_session* session, agent_cursor* cursor, fp_error* error);
fp_status agent_copy_to_remote(agent_session* session, agent_cursor* cursor, fp_error* error);
/* System calls, whose `count` values have been read. */
fp_status agent_get_attribute(agent_session* session, int count, fp_error* error);
fp_status agent_allocate(agent_session* session, int count, fp_error* error);
fp_status agent_allocate_with_scope(agent_session* session, int count, fp_error* error);
fp_status agent_copy_among_remote(agent_session* session, int count, fp_error* error);
/* Gives back what a value is a handle of. */
fp_status agent_free_handle(agent_session* session, const agent_value* value, int is_there, fp_error* error);

#endif
