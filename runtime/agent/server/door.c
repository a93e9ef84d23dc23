#include "agent/server/door.h"

#include "agent/core/log.h"
#include "agent/core/sockets.h"

static const double kGreetingSecs = 3, kPauseSecs = 0.1;

void agent_door_open(agent_door* door, int listening) {
  memset(door, 0, sizeof(*door));
  door->listening = listening;
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) door->visitors[i].socket = -1;
}

static void show_out(agent_visitor* visitor) {
  close(visitor->socket);
  visitor->socket = -1;
}

double agent_door_poll(const agent_door* door, agent_poll* polled, double now, double latest) {
  const int is_closed = now < door->closed_until;
  polled[0] = (agent_poll){is_closed ? -1 : door->listening, AGENT_POLL_IN, 0};
  if (is_closed && door->closed_until < latest) latest = door->closed_until;
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) {
    const agent_visitor* visitor = &door->visitors[i];
    polled[1 + i] = (agent_poll){visitor->socket, AGENT_POLL_IN, 0};
    if (visitor->socket >= 0 && visitor->until < latest) latest = visitor->until;
  }
  return latest;
}

/* A place for one more: an empty one, else that of the visitor that has been greeting for the longest. */
static agent_visitor* place_for_one(agent_door* door) {
  agent_visitor* oldest = &door->visitors[0];
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) {
    agent_visitor* visitor = &door->visitors[i];
    if (visitor->socket < 0) return visitor;
    if (visitor->until < oldest->until) oldest = visitor;
  }
  show_out(oldest);
  return oldest;
}

static void let_in(agent_door* door, double now) {
  const int socket = accept4(door->listening, NULL, NULL, AGENT_CLOSE_ON_EXEC);
  if (socket < 0) { /* gone again, or no descriptor is left */
    door->closed_until = now + kPauseSecs;
    return;
  }
  agent_tune(socket);
  agent_visitor* visitor = place_for_one(door);
  visitor->socket = socket;
  visitor->until = now + kGreetingSecs;
  visitor->have = 0;
}

static int32_t number_at(const uint8_t* bytes) {
  int32_t value;
  memcpy(&value, bytes, sizeof(value));
  return value;
}

/* Whether what a visitor has said so far may become a greeting. */
static int may_be_client(const agent_visitor* visitor) {
  if (visitor->have >= 4 && number_at(visitor->greeting) != AGENT_RPC_MAGIC) return 0;
  if (visitor->have < 8) return 1;
  const int32_t length = number_at(visitor->greeting + 4);
  return length > 0 && length <= AGENT_MOST_NAME;
}

static size_t wanted_bytes(const agent_visitor* visitor) {
  return visitor->have < 8 ? 8 : 8 + (size_t)number_at(visitor->greeting + 4);
}

static int has_greeted(const agent_visitor* visitor) {
  return visitor->socket >= 0 && visitor->have >= 8 && visitor->have == wanted_bytes(visitor);
}

static void hear(agent_visitor* visitor) {
  while (!has_greeted(visitor)) {
    const size_t wanted = wanted_bytes(visitor) - visitor->have;
    const long count = agent_take(visitor->socket, visitor->greeting + visitor->have, wanted);
    if (count < 0 && visitor->have > 0) return; /* more may come */
    if (count > 0) visitor->have += (size_t)count;
    if (count <= 0 || !may_be_client(visitor)) {
      show_out(visitor);
      return;
    }
  }
}

void agent_door_work(agent_door* door, const agent_poll* polled, double now) {
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) {
    agent_visitor* visitor = &door->visitors[i];
    if (visitor->socket < 0 || visitor->socket != polled[1 + i].file) continue;
    if (polled[1 + i].came != 0) hear(visitor);
    if (visitor->socket >= 0 && !has_greeted(visitor) && now > visitor->until) show_out(visitor);
  }
  if (polled[0].file >= 0 && polled[0].came != 0) let_in(door, now);
}

static void read_option(agent_greeting* greeting, const char* word) {
  if (strcmp(word, "-chunked=1") == 0) greeting->wants_chunks = 1;
  if (strncmp(word, "-timeout=", 9) == 0) {
    const double secs = strtod(word + 9, NULL);
    if (secs > 0 && secs < 1e9) greeting->timeout_secs = secs;
  }
}

/* The words of a greeting: "client:KEY", then options. */
static int read_greeting(const agent_visitor* visitor, agent_greeting* greeting) {
  char text[AGENT_MOST_NAME + 1];
  const size_t length = visitor->have - 8;
  memcpy(text, visitor->greeting + 8, length);
  text[length] = '\0';
  if (strlen(text) != length || strncmp(text, "client:", 7) != 0) return 0;
  char* word = text + 7;
  int number = 0;
  for (char* letter = word;; ++letter) {
    const char last = *letter;
    if (last != ' ' && last != '\0') continue;
    *letter = '\0';
    if (number++ == 0) {
      memcpy(greeting->match_key, word, strlen(word) + 1);
    } else {
      read_option(greeting, word);
    }
    word = letter + 1;
    if (last == '\0') return 1;
  }
}

int agent_door_next(agent_door* door, agent_greeting* greeting) {
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) {
    agent_visitor* visitor = &door->visitors[i];
    if (!has_greeted(visitor)) continue;
    memset(greeting, 0, sizeof(*greeting));
    greeting->socket = visitor->socket;
    if (read_greeting(visitor, greeting)) {
      visitor->socket = -1;
      return 1;
    }
    show_out(visitor);
  }
  return 0;
}

void agent_door_close(agent_door* door) {
  close(door->listening);
  for (int i = 0; i < AGENT_MOST_GREETING; ++i) {
    if (door->visitors[i].socket >= 0) close(door->visitors[i].socket);
  }
}
