#include "agent/server/offer.h"

#include "agent/core/clock.h"
#include "agent/core/log.h"

/* Messages of a tracker's conversation, see tvm/rpc/base.py: JSON, each after its length. */
enum { TRACKER_MAGIC = 0x2f271, PUT = 3, UPDATE_INFO = 5, PENDING_MATCH_KEYS = 7, MESSAGE_BYTES = 512 };
static const double kPollSecs = 0.5, kUnusedSecs = 4, kAnswerSecs = 5;

void agent_offer_open(agent_offer* offer, const agent_options* options, unsigned port) {
  memset(offer, 0, sizeof(*offer));
  offer->options = options;
  offer->port = options->told_port != 0 ? options->told_port : port;
  offer->socket = -1;
  offer->is_free = 1;
  offer->lost_since = agent_now();
}

static void hang_up(agent_offer* offer, const char* why, double now) {
  char where[AGENT_ADDRESS_TEXT];
  agent_address_write(&offer->options->tracker, 1, where);
  if (!offer->has_complained) agent_log("tracker %s: %s; trying again", where, why);
  offer->has_complained = 1;
  if (offer->socket >= 0) close(offer->socket);
  if (offer->talk >= AGENT_TALK_INTRODUCED) offer->lost_since = now; /* it has greeted, so it was there */
  offer->socket = -1;
  offer->talk = AGENT_TALK_NONE;
  offer->next = now + kPollSecs;
  offer->is_known = 0;
}

double agent_offer_poll(const agent_offer* offer, agent_poll* polled, double latest) {
  const int16_t wanted = offer->talk == AGENT_TALK_CONNECTING ? AGENT_POLL_OUT : AGENT_POLL_IN;
  *polled = (agent_poll){offer->socket, wanted, 0};
  const int waits = offer->talk == AGENT_TALK_QUIET && !offer->is_free;
  return !waits && offer->next < latest ? offer->next : latest;
}

static void say(agent_offer* offer, agent_talk talk, double now, const char* message) {
  uint8_t bytes[4 + MESSAGE_BYTES];
  const uint32_t length = (uint32_t)strlen(message);
  memcpy(bytes, &length, 4);
  memcpy(bytes + 4, message, length);
  if (!agent_tell(offer->socket, bytes, 4 + length)) {
    hang_up(offer, "does not take what it is told", now);
    return;
  }
  offer->talk = talk;
  offer->have = 0;
  offer->next = now + kAnswerSecs;
}

/* Where clients are to come, as JSON: null is as the tracker sees it, which is where a forwarded port is, too. */
static void own_host(const agent_offer* offer, char text[AGENT_ADDRESS_TEXT + 2]) {
  static const uint8_t everywhere[4] = {0, 0, 0, 0};
  char host[AGENT_ADDRESS_TEXT];
  agent_address_write(&offer->options->listening, 0, host);
  const int is_everywhere = memcmp(offer->options->listening.host, everywhere, 4) == 0;
  const int is_as_seen = is_everywhere || offer->options->told_port != 0;
  snprintf(text, AGENT_ADDRESS_TEXT + 2, is_as_seen ? "null" : "\"%s\"", host);
}

static void introduce(agent_offer* offer, double now) {
  char message[MESSAGE_BYTES], host[AGENT_ADDRESS_TEXT + 2];
  own_host(offer, host);
  snprintf(message, sizeof(message), "[%d, {\"key\": \"server:%s\", \"addr\": [%s, %u]}]", UPDATE_INFO,
           offer->options->key, host, offer->port);
  say(offer, AGENT_TALK_INTRODUCED, now, message);
}

static void put(agent_offer* offer, double now) {
  char message[MESSAGE_BYTES], host[AGENT_ADDRESS_TEXT + 2];
  uint8_t drawn[16];
  if (syscall(AGENT_SYS_RANDOM, drawn, (long)sizeof(drawn), 0L) != (long)sizeof(drawn)) {
    hang_up(offer, "no random numbers for a match key", now);
    return;
  }
  int length = snprintf(offer->match_key, sizeof(offer->match_key), "%s:", offer->options->key);
  for (int i = 0; i < 16; ++i, length += 2) {
    snprintf(offer->match_key + length, sizeof(offer->match_key) - (size_t)length, "%02x", drawn[i]);
  }
  own_host(offer, host);
  snprintf(message, sizeof(message), "[%d, \"%s\", [%u, \"%s\"], %s]", PUT, offer->options->key, offer->port,
           offer->match_key, host);
  say(offer, AGENT_TALK_OFFERED, now, message);
}

static int contains(const char* text, const char* part) {
  const size_t size = strlen(part);
  for (; *text != '\0'; ++text) {
    if (strncmp(text, part, size) == 0) return 1;
  }
  return 0;
}

/* Whether the key that was handed out may still be used is for the tracker to say: it forgets one that a client has. */
static void note_pending(agent_offer* offer, const char* answer, double now) {
  if (!offer->is_free || contains(answer, offer->match_key)) {
    offer->unused_since = 0;
  } else if (offer->unused_since == 0) {
    offer->unused_since = now;
  } else if (now - offer->unused_since > kUnusedSecs) {
    offer->is_known = 0;
  }
}

static void understand(agent_offer* offer, const char* answer, double now) {
  const int is_success = strcmp(answer, "0") == 0;
  if (offer->talk == AGENT_TALK_ASKED ? answer[0] != '[' : !is_success) {
    hang_up(offer, "refuses what it is told", now);
    return;
  }
  if (offer->talk == AGENT_TALK_ASKED) note_pending(offer, answer, now);
  if (offer->talk == AGENT_TALK_OFFERED) {
    offer->is_known = 1;
    offer->unused_since = 0;
    offer->has_complained = 0;
  }
  const int introduced = offer->talk == AGENT_TALK_INTRODUCED;
  offer->talk = AGENT_TALK_QUIET;
  offer->next = introduced || !offer->is_known ? now : now + kPollSecs;
}

/* Takes what has come of an answer. */
static void hear(agent_offer* offer, double now) {
  const int is_greeting = offer->talk == AGENT_TALK_GREETING;
  uint32_t length = 0;
  for (;;) {
    if (offer->have >= 4) memcpy(&length, offer->answer, 4);
    if (offer->have >= 4 && !is_greeting && (length == 0 || length > AGENT_MOST_ANSWER - 1)) break;
    const size_t wanted = offer->have < 4 || is_greeting ? 4 : 4 + (size_t)length;
    if (offer->have == wanted) {
      if (is_greeting && length != TRACKER_MAGIC) break;
      if (is_greeting) {
        introduce(offer, now);
      } else {
        offer->answer[wanted] = '\0';
        understand(offer, (const char*)offer->answer + 4, now);
      }
      return;
    }
    const long count = agent_take(offer->socket, offer->answer + offer->have, wanted - offer->have);
    if (count < 0 && offer->have > 0) return;
    if (count <= 0) {
      hang_up(offer, "it is gone", now);
      return;
    }
    offer->have += (size_t)count;
  }
  hang_up(offer, "what listens there is no tracker", now);
}

static void greet(agent_offer* offer, double now) {
  const int32_t magic = TRACKER_MAGIC;
  if (!agent_connected(offer->socket) || !agent_tell(offer->socket, &magic, sizeof(magic))) {
    hang_up(offer, "nothing answers", now);
    return;
  }
  offer->talk = AGENT_TALK_GREETING;
  offer->have = 0;
  offer->next = now + kAnswerSecs;
}

static void do_next(agent_offer* offer, double now) {
  char message[16];
  switch (offer->talk) {
    case AGENT_TALK_NONE:
      offer->socket = agent_connect(&offer->options->tracker);
      offer->talk = AGENT_TALK_CONNECTING;
      offer->next = now + kAnswerSecs;
      if (offer->socket < 0) hang_up(offer, "no socket", now);
      return;
    case AGENT_TALK_QUIET:
      if (!offer->is_free) return;
      if (!offer->is_known) {
        put(offer, now);
        return;
      }
      snprintf(message, sizeof(message), "[%d]", PENDING_MATCH_KEYS);
      say(offer, AGENT_TALK_ASKED, now, message);
      return;
    default:
      hang_up(offer, "does not answer", now);
  }
}

void agent_offer_work(agent_offer* offer, const agent_poll* polled, double now) {
  if (offer->socket >= 0 && polled->file == offer->socket && polled->came != 0) {
    if (offer->talk == AGENT_TALK_CONNECTING) {
      greet(offer, now);
    } else if (offer->talk == AGENT_TALK_QUIET) {
      hang_up(offer, "it is gone", now); /* it says nothing that was not asked for */
    } else {
      hear(offer, now);
    }
  } else if (now >= offer->next) {
    do_next(offer, now);
  }
}

/* In a time that does not tell how much of the key was right. */
static int same_key(const char* one, const char* other) {
  const size_t size = strlen(one);
  if (size != strlen(other)) return 0;
  unsigned differs = 0;
  for (size_t i = 0; i < size; ++i) differs |= (unsigned)(one[i] ^ other[i]);
  return differs == 0;
}

int agent_offer_claim(agent_offer* offer, const char* match_key) {
  if (!offer->is_free || offer->match_key[0] == '\0' || !same_key(offer->match_key, match_key)) return 0;
  offer->match_key[0] = '\0';
  offer->is_free = 0;
  offer->is_known = 0;
  return 1;
}

void agent_offer_release(agent_offer* offer, double now) {
  offer->is_free = 1;
  if (offer->talk == AGENT_TALK_QUIET) offer->next = now;
}

int agent_offer_is_given_up(const agent_offer* offer, double now) {
  const unsigned secs = offer->options->give_up_secs;
  const int is_away = offer->talk == AGENT_TALK_NONE || offer->talk == AGENT_TALK_CONNECTING;
  return secs != 0 && is_away && now - offer->lost_since > secs;
}
