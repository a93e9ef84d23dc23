/* TCP sockets of IPv4 by numbers, never waiting unless it is said. */
#ifndef FLEETPOSE_AGENT_CORE_SOCKETS_H
#define FLEETPOSE_AGENT_CORE_SOCKETS_H

#include "agent/core/libc.h"

enum { AGENT_ADDRESS_TEXT = 24 };

/* Reads "127.0.0.1" or "localhost" into `address`; 0 for anything else. Names are not looked up. */
int agent_address_read(agent_address* address, const char* host, unsigned port);
/* "127.0.0.1:9190", or without the port. */
void agent_address_write(const agent_address* address, int with_port, char text[AGENT_ADDRESS_TEXT]);
unsigned agent_address_port(const agent_address* address);

/* A listening socket, and in `address` the port that it got; -1 where it cannot be. */
int agent_listen(agent_address* address);
/* A socket that has begun to connect: when it can be written to, agent_connected says how that went. -1: refused. */
int agent_connect(const agent_address* address);
int agent_connected(int socket);
/* Small messages go at once, and a machine that is gone without a word is found out after about 25 s. */
void agent_tune(int socket);

/* What has come, without waiting: its size, 0 where the other end has closed, -1 where nothing came or all is over. */
long agent_take(int socket, void* bytes, size_t size);
/* Sends a short message that the system has room for; 0 where it has not, or the other end is gone. */
int agent_tell(int socket, const void* bytes, size_t size);

#endif
