/* What the agent is started with. */
#ifndef FLEETPOSE_AGENT_CORE_OPTIONS_H
#define FLEETPOSE_AGENT_CORE_OPTIONS_H

#include "agent/core/sockets.h"

#define AGENT_VERSION "0.1.0"

enum { AGENT_KEY_BYTES = 64, AGENT_PATH_BYTES = 512 };

typedef struct agent_options {
  agent_address tracker, listening;
  char key[AGENT_KEY_BYTES];
  char folder[AGENT_PATH_BYTES]; /* where sessions and compiled kernels are kept */
  int is_usual_folder;           /* nobody named it */
  unsigned told_port;            /* that the tracker is told; 0: the one that it listens on */
  unsigned give_up_secs;         /* without a tracker for so long the agent ends; 0: never */
  int only_version;
} agent_options;

/* Reads the command line; 0 where it is wrong, and one line on stderr says why. */
int agent_options_read(agent_options* options, int count, char** words);

#endif
