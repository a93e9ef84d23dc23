/* The global functions that clients ask for by name: TVM's, and those that devices asks for. */
#ifndef FLEETPOSE_AGENT_MODULES_FUNCTIONS_H
#define FLEETPOSE_AGENT_MODULES_FUNCTIONS_H

#include "agent/modules/session.h"

/* The function of that name, held once by the caller; NULL where there is none. */
agent_function* agent_find_function(const char* name);

/* Answers a call with a text, which is freed; an error where memory ran out on the way. */
fp_status agent_give_text(agent_session* session, agent_bytes* text, fp_error* error);

#endif
