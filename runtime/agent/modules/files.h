/* The session's files: what a client sends, fetches and removes, by names within the session's folder alone. */
#ifndef FLEETPOSE_AGENT_MODULES_FILES_H
#define FLEETPOSE_AGENT_MODULES_FILES_H

#include "agent/modules/session.h"

/* "tvm.rpc.server." upload (name, bytes), download (name), remove (name), listdir (name), workpath (name). */
fp_status agent_upload(agent_session* session, agent_function* function, const agent_value* values, int count,
                       fp_error* error);
fp_status agent_download(agent_session* session, agent_function* function, const agent_value* values, int count,
                         fp_error* error);
fp_status agent_remove(agent_session* session, agent_function* function, const agent_value* values, int count,
                       fp_error* error);
fp_status agent_list(agent_session* session, agent_function* function, const agent_value* values, int count,
                     fp_error* error);
fp_status agent_workpath(agent_session* session, agent_function* function, const agent_value* values, int count,
                         fp_error* error);

/* The path of a file that the first value names; what stands before its last name is of no account. */
fp_status agent_path_of(const agent_session* session, const agent_value* values, int count, char path[1024],
                        fp_error* error);

#endif
