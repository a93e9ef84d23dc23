#include "agent/server/server.h"

#include "agent/core/clock.h"
#include "agent/core/folder.h"
#include "agent/core/log.h"
#include "agent/server/door.h"
#include "agent/server/offer.h"
#include "agent/server/session_process.h"
#include "agent/server/signals.h"

enum { POLLED_SIGNALS = 0, POLLED_OFFER, POLLED_SESSION, POLLED_DOOR, POLLED = POLLED_DOOR + 1 + AGENT_MOST_GREETING };
static const double kLongestSecs = 60;

typedef struct server {
  const agent_options* options;
  int signals;
  agent_door door;
  agent_offer offer;
  agent_session_process session;
} server;

/* What is open in two processes never ends. */
static void close_others(void* context) {
  server* of = context;
  agent_door_close(&of->door);
  close(of->signals);
  if (of->offer.socket >= 0) close(of->offer.socket);
}

/* The answer to a greeting: our magic number and who we are, or that the key is none. */
static int answer(const server* of, const agent_greeting* greeting) {
  char name[AGENT_KEY_BYTES + 32];
  uint8_t bytes[8 + sizeof(name)];
  const int32_t magic = AGENT_RPC_MAGIC;
  const int length =
      snprintf(name, sizeof(name), "server:%s%s", of->options->key, greeting->wants_chunks ? " -chunked=1" : "");
  const int32_t size = length;
  memcpy(bytes, &magic, 4);
  memcpy(bytes + 4, &size, 4);
  memcpy(bytes + 8, name, (size_t)length);
  return agent_tell(greeting->socket, bytes, 8 + (size_t)length);
}

static void serve(server* of, const agent_greeting* greeting, double now) {
  const int32_t mismatch = AGENT_RPC_MISMATCH;
  if (!agent_offer_claim(&of->offer, greeting->match_key)) {
    agent_tell(greeting->socket, &mismatch, sizeof(mismatch));
    close(greeting->socket);
    return;
  }
  if (!answer(of, greeting)) {
    close(greeting->socket);
  } else if (agent_session_start(&of->session, of->options, greeting, close_others, of)) {
    agent_log("session begins");
    return;
  }
  agent_offer_release(&of->offer, now);
}

/* One round: waits for what may happen next, and does it. 0 when told to end. */
static int step(server* of) {
  agent_poll polled[POLLED];
  double now = agent_now();
  double latest = agent_offer_poll(&of->offer, &polled[POLLED_OFFER], now + kLongestSecs);
  latest = agent_session_poll(&of->session, &polled[POLLED_SESSION], latest);
  latest = agent_door_poll(&of->door, &polled[POLLED_DOOR], now, latest);
  polled[POLLED_SIGNALS] = (agent_poll){of->signals, AGENT_POLL_IN, 0};
  const double wait_secs = latest > now ? latest - now : 0;
  if (poll(polled, POLLED, (int)(wait_secs * 1000) + 1) < 0) return 1;
  now = agent_now();
  if (polled[POLLED_SIGNALS].came != 0 && agent_signals_end(of->signals)) return 0;
  agent_session_work(&of->session, &polled[POLLED_SESSION], now);
  if (agent_session_collect(&of->session)) {
    agent_log("session ended");
    agent_offer_release(&of->offer, now);
  }
  agent_offer_work(&of->offer, &polled[POLLED_OFFER], now);
  if (of->session.process == 0 && agent_offer_is_given_up(&of->offer, now)) {
    agent_log("no tracker for %u s; the agent ends", of->options->give_up_secs);
    return 0;
  }
  agent_door_work(&of->door, &polled[POLLED_DOOR], now);
  agent_greeting greeting;
  while (agent_door_next(&of->door, &greeting)) serve(of, &greeting, now);
  return 1;
}

/* Ends the session and collects it, unless the driver keeps its process for longer than two seconds. */
static void end(server* of) {
  agent_session_kill(&of->session);
  for (int i = 0; of->session.process != 0 && i < 200; ++i) {
    if (!agent_session_collect(&of->session)) usleep(10000);
  }
}

int agent_server_run(agent_options* options) {
  server* of = calloc(1, sizeof(server));
  char where[AGENT_ADDRESS_TEXT];
  if (of == NULL) return 1;
  mkdir(options->folder, 0700);
  if (options->is_usual_folder && !agent_folder_is_own(options->folder)) { /* in /tmp anybody may have made it */
    agent_log("%.400s is no folder of this user's; name one: --folder DIR", options->folder);
    return 2;
  }
  agent_session_clean(options);
  const int listening = agent_listen(&options->listening);
  agent_address_write(&options->listening, 1, where);
  of->options = options;
  of->signals = agent_signals_open();
  if (listening < 0 || of->signals < 0) {
    agent_log(listening < 0 ? "cannot listen on %s: is the port in use, the address this machine's?"
                            : "%s: this system has no files of signals",
              where);
    return 2;
  }
  agent_door_open(&of->door, listening);
  agent_offer_open(&of->offer, options, agent_address_port(&options->listening));
  agent_say("fleetpose-agent listens on %s, key %s", where, options->key);
  while (step(of)) continue;
  end(of);
  free(of);
  return 0;
}
