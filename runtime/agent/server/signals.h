/* Signals as a file that is polled: nothing of the agent's is ever interrupted. */
#ifndef FLEETPOSE_AGENT_SERVER_SIGNALS_H
#define FLEETPOSE_AGENT_SERVER_SIGNALS_H

/* The file, which tells of ended children and of requests to end; -1 where the system has none. */
int agent_signals_open(void);
/* Whether a request to end was among those that have come. Reads all of them. */
int agent_signals_end(int file);
/* In a forked process: signals do again what they usually do, but for that of a broken pipe. */
void agent_signals_restore(void);

#endif
