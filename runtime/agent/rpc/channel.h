/* The connection to the client: bytes as they are, or in chunks with checksums. Waits as long as it takes. */
#ifndef FLEETPOSE_AGENT_RPC_CHANNEL_H
#define FLEETPOSE_AGENT_RPC_CHANNEL_H

#include "agent/rpc/chunks.h"
#include "agent/rpc/serving.h"

typedef struct agent_channel {
  int socket, is_chunked;
  volatile agent_shared* shared;
  uint64_t received, sent; /* chunks */
  size_t have, taken;      /* of `content` */
  uint8_t content[AGENT_MOST_CHUNK_BYTES];
} agent_channel;

/* Exactly `size` bytes; 0 where the client has closed, or bytes were changed on the way. */
int agent_channel_receive(agent_channel* channel, void* bytes, size_t size);
/* Sends bytes; 0 where the client is gone. An answer of several parts has one end. */
int agent_channel_send(agent_channel* channel, const void* bytes, size_t size, int is_end);

#endif
