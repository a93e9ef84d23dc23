#include "agent/rpc/channel.h"

#include "agent/core/log.h"

static int receive_all(int socket, uint8_t* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const long count = recv(socket, bytes + done, size - done, 0);
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

static int receive_chunk(agent_channel* channel) {
  agent_chunk_head head, right;
  if (!receive_all(channel->socket, (uint8_t*)&head, sizeof(head))) return 0;
  int is_good = head.mark == AGENT_CHUNK_MARK && head.size > 0 && head.size <= AGENT_MOST_CHUNK_BYTES;
  if (is_good) {
    if (!receive_all(channel->socket, channel->content, head.size)) return 0;
    right = agent_chunk_head_of(channel->content, head.size, channel->received++);
    is_good = memcmp(&head, &right, sizeof(head)) == 0;
  }
  if (!is_good) agent_log("bytes were changed or lost on the way");
  channel->have = is_good ? head.size : 0;
  channel->taken = 0;
  return is_good;
}

/* At least one byte and at most `most`. */
static size_t receive_some(agent_channel* channel, uint8_t* bytes, size_t most) {
  if (channel->taken == channel->have) {
    if (channel->is_chunked) {
      if (!receive_chunk(channel)) return 0;
    } else {
      if (most >= sizeof(channel->content)) {
        const long direct = recv(channel->socket, bytes, most, 0);
        return direct > 0 ? (size_t)direct : 0;
      }
      const long count = recv(channel->socket, channel->content, sizeof(channel->content), 0);
      if (count <= 0) return 0;
      channel->have = (size_t)count;
      channel->taken = 0;
    }
  }
  const size_t left = channel->have - channel->taken, count = left < most ? left : most;
  memcpy(bytes, channel->content + channel->taken, count);
  channel->taken += count;
  return count;
}

int agent_channel_receive(agent_channel* channel, void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const size_t count = receive_some(channel, (uint8_t*)bytes + done, size - done);
    if (count == 0) return 0;
    done += count;
  }
  return 1;
}

static int send_all(int socket, const uint8_t* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const long count = send(socket, bytes + done, size - done, AGENT_NO_SIGNAL);
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

static int send_chunks(agent_channel* channel, const uint8_t* bytes, size_t size) {
  while (size > 0) {
    uint8_t small[sizeof(agent_chunk_head) + 2048];
    const size_t part = size < AGENT_MOST_CHUNK_BYTES ? size : AGENT_MOST_CHUNK_BYTES;
    const agent_chunk_head head = agent_chunk_head_of(bytes, part, channel->sent++);
    int is_sent;
    if (part <= sizeof(small) - sizeof(head)) { /* one packet */
      memcpy(small, &head, sizeof(head));
      memcpy(small + sizeof(head), bytes, part);
      is_sent = send_all(channel->socket, small, sizeof(head) + part);
    } else {
      is_sent =
          send_all(channel->socket, (const uint8_t*)&head, sizeof(head)) && send_all(channel->socket, bytes, part);
    }
    if (!is_sent) return 0;
    bytes += part;
    size -= part;
  }
  return 1;
}

int agent_channel_send(agent_channel* channel, const void* bytes, size_t size, int is_end) {
  channel->shared->is_answering = 1;
  const int is_sent = channel->is_chunked ? send_chunks(channel, bytes, size) : send_all(channel->socket, bytes, size);
  if (is_end) channel->shared->is_answering = 0;
  return is_sent;
}
