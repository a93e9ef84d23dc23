/* The agent's own process: lets clients in, keeps the tracker informed, and looks after one session at a time. */
#ifndef FLEETPOSE_AGENT_SERVER_SERVER_H
#define FLEETPOSE_AGENT_SERVER_SERVER_H

#include "agent/core/options.h"

/* Serves until it is told to end; answers the exit status. */
int agent_server_run(agent_options* options);

#endif
