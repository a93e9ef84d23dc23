/* Lines on stderr: what the agent does, for whoever looks after it. */
#ifndef FLEETPOSE_AGENT_CORE_LOG_H
#define FLEETPOSE_AGENT_CORE_LOG_H

__attribute__((format(printf, 1, 2))) void agent_log(const char* format, ...);
/* A line on stdout. */
__attribute__((format(printf, 1, 2))) void agent_say(const char* format, ...);

#endif
