/* Whoever has connected and not yet greeted: silent and slow ones are shown out, and cost others nothing.
 *
 * Of those that have not finished their greeting the latest are waited for, three seconds each.
 */
#ifndef FLEETPOSE_AGENT_SERVER_DOOR_H
#define FLEETPOSE_AGENT_SERVER_DOOR_H

#include "agent/core/libc.h"

enum { AGENT_MOST_GREETING = 16, AGENT_MOST_NAME = 1024 };

/* A greeting of TVM's RPC: this number, the length of the name, the name with options. */
enum { AGENT_RPC_MAGIC = 0xff271, AGENT_RPC_MISMATCH = 0xff273 };

typedef struct agent_visitor {
  int socket; /* -1: none */
  double until;
  size_t have;
  uint8_t greeting[8 + AGENT_MOST_NAME];
} agent_visitor;

typedef struct agent_door {
  int listening;
  double closed_until; /* where the system has no descriptor left */
  agent_visitor visitors[AGENT_MOST_GREETING];
} agent_door;

typedef struct agent_greeting {
  int socket;
  char match_key[AGENT_MOST_NAME + 1];
  double timeout_secs; /* of the session; 0: none */
  int wants_chunks;
} agent_greeting;

void agent_door_open(agent_door* door, int listening);
/* What to poll: the listening socket and visitors, 1 + AGENT_MOST_GREETING. Answers when the next visitor's time is up,
 * or `latest`. */
double agent_door_poll(const agent_door* door, agent_poll* polled, double now, double latest);
/* Lets in whoever has come, reads what they said, and closes those whose time is up. */
void agent_door_work(agent_door* door, const agent_poll* polled, double now);
/* Takes a visitor that has greeted as a client does; 0 where there is none. The socket is the caller's then. */
int agent_door_next(agent_door* door, agent_greeting* greeting);
/* Closes all sockets, as a forked process has to. */
void agent_door_close(agent_door* door);

#endif
