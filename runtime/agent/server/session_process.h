/* One client's session: a forked process in a folder of its own, ended with its client, its time, or the agent. */
#ifndef FLEETPOSE_AGENT_SERVER_SESSION_PROCESS_H
#define FLEETPOSE_AGENT_SERVER_SESSION_PROCESS_H

#include "agent/core/options.h"
#include "agent/rpc/serving.h"
#include "agent/server/door.h"

typedef struct agent_session_process {
  int process; /* 0: none */
  int socket;  /* of its client */
  int is_chunked;
  double until;      /* its time is up; 0: never */
  double gone_since; /* its client is gone; 0: not yet */
  int is_killed;
  double timeout_secs;
  volatile agent_shared* shared;
  char folder[AGENT_PATH_BYTES];
} agent_session_process;

/* Removes the folders of sessions whose agent was killed. */
void agent_session_clean(const agent_options* options);
/* Forks the process of a client that has greeted and was answered; the socket is taken over. 0 where that fails.
 * In the new process it never returns: `close_others` closes what the agent has open there. */
int agent_session_start(agent_session_process* session, const agent_options* options, const agent_greeting* greeting,
                        void (*close_others)(void*), void* context);
/* What to poll: whether the client has gone. Answers when something is to be done, or `latest`. */
double agent_session_poll(const agent_session_process* session, agent_poll* polled, double latest);
void agent_session_work(agent_session_process* session, const agent_poll* polled, double now);
/* Collects the process where it has ended; then 1, and the session is none. */
int agent_session_collect(agent_session_process* session);
/* Kills the process; it is collected later. */
void agent_session_kill(agent_session_process* session);

#endif
