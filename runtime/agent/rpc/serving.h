/* A session: the requests of one client, one after the other, in a process of its own. */
#ifndef FLEETPOSE_AGENT_RPC_SERVING_H
#define FLEETPOSE_AGENT_RPC_SERVING_H

#include "agent/core/options.h"

/* What a session's process tells the agent, in memory that both see. */
typedef struct agent_shared {
  uint32_t is_working;   /* on a request */
  uint32_t is_answering; /* bytes of an answer are out, and others are not */
} agent_shared;

/* Answers a client that has been greeted until it says goodbye or closes (1), or the connection breaks (0).
 * folder: of the session, where it is. */
int agent_serve(int socket, int is_chunked, const agent_options* options, const char* folder,
                volatile agent_shared* shared);

#endif
