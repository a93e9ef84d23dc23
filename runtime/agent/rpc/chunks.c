#include "agent/rpc/chunks.h"

_Static_assert(sizeof(agent_chunk_head) == 24, "as rpc_chunks.cc has it");

/* Fletcher's sums over words of 64 bits: whatever changes one word changes the first of them. */
agent_chunk_head agent_chunk_head_of(const uint8_t* bytes, size_t size, uint64_t number) {
  uint64_t sum = number ^ size, sum_of_sums = 0, last = 0;
  size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    sum += word;
    sum_of_sums += sum;
  }
  if (at < size) memcpy(&last, bytes + at, size - at);
  sum += last;
  sum_of_sums += sum;
  return (agent_chunk_head){AGENT_CHUNK_MARK, (uint32_t)size, sum, sum_of_sums};
}
