/* The device on offer at a tracker: registered, free or taken, and there again soon after the tracker is. */
#ifndef FLEETPOSE_AGENT_SERVER_OFFER_H
#define FLEETPOSE_AGENT_SERVER_OFFER_H

#include "agent/core/options.h"

enum { AGENT_MATCH_KEY_BYTES = AGENT_KEY_BYTES + 34, AGENT_MOST_ANSWER = 4096 };

typedef enum agent_talk {
  AGENT_TALK_NONE = 0,   /* not connected */
  AGENT_TALK_CONNECTING, /* the system does */
  AGENT_TALK_GREETING,   /* the magic number is out */
  AGENT_TALK_INTRODUCED, /* who we are is out */
  AGENT_TALK_OFFERED,    /* a match key is out */
  AGENT_TALK_ASKED,      /* whether it is still there is out */
  AGENT_TALK_QUIET       /* nothing is out */
} agent_talk;

typedef struct agent_offer {
  const agent_options* options;
  unsigned port; /* that the tracker is told */
  int socket;    /* -1: none */
  agent_talk talk;
  double next; /* when something is to be done: call, ask, or give up waiting for an answer */
  int is_free;
  char match_key[AGENT_MATCH_KEY_BYTES]; /* of the one client that may come; "" while there is none */
  int is_known;                          /* the tracker has this key, or had it */
  double unused_since;                   /* handed out, and nobody came; 0: no */
  size_t have;                           /* of an answer and the length before it */
  uint8_t answer[4 + AGENT_MOST_ANSWER];
  int has_complained;
  double lost_since; /* when the tracker was last there */
} agent_offer;

void agent_offer_open(agent_offer* offer, const agent_options* options, unsigned port);
/* What to poll of it. Answers when something is to be done, or `latest`. */
double agent_offer_poll(const agent_offer* offer, agent_poll* polled, double latest);
void agent_offer_work(agent_offer* offer, const agent_poll* polled, double now);
/* Whether that key opens the device now; it is taken then, until it is released. */
int agent_offer_claim(agent_offer* offer, const char* match_key);
void agent_offer_release(agent_offer* offer, double now);
/* Whether the tracker has been away for longer than the agent is to wait for it. */
int agent_offer_is_given_up(const agent_offer* offer, double now);

#endif
