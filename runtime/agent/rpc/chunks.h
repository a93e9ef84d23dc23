/* Chunks with checksums, between our client and the agent: what was changed or lost on the way is noticed, never used.
 *
 * They are those of devices/runtime/src/rpc_chunks.h: a header and up to 256 KiB. Chunks are numbered, and the number
 * is part of the sums.
 */
#ifndef FLEETPOSE_AGENT_RPC_CHUNKS_H
#define FLEETPOSE_AGENT_RPC_CHUNKS_H

#include "agent/core/libc.h"

enum { AGENT_CHUNK_MARK = 0x31435046, AGENT_MOST_CHUNK_BYTES = 1 << 18 };

typedef struct agent_chunk_head {
  uint32_t mark, size;
  uint64_t sum, sum_of_sums;
} agent_chunk_head;

agent_chunk_head agent_chunk_head_of(const uint8_t* bytes, size_t size, uint64_t number);

#endif
