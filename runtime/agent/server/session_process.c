#include "agent/server/session_process.h"

#include "agent/core/bytes.h"
#include "agent/core/clock.h"
#include "agent/core/folder.h"
#include "agent/core/log.h"
#include "agent/server/signals.h"
#include "core/folder.h"

/* What a session may still do after its client has gone. */
static const double kHangupSecs = 2;
enum { SHARED_BYTES = 4096, RPC_EXCEPTION = 5, TYPE_TEXT = 8 };

/* Whether a name is that of a session's folder, "session-" and its agent's number, and that agent is gone. */
static int is_left_behind(const char* name) {
  int number = 0;
  if (strncmp(name, "session-", 8) != 0) return 0;
  const char* digit = name + 8;
  for (; *digit >= '0' && *digit <= '9' && number < 100000000; ++digit) number = 10 * number + (*digit - '0');
  return *digit == '\0' && number > 0 && kill(number, 0) != 0;
}

static int remove_left_behind(void* context, const char* name, int is_folder) {
  const agent_options* options = context;
  char path[AGENT_PATH_BYTES + 300];
  if (!is_folder || !is_left_behind(name)) return 1;
  snprintf(path, sizeof(path), "%s/%.255s", options->folder, name);
  agent_folder_remove(path);
  return 1;
}

void agent_session_clean(const agent_options* options) {
  agent_options folder = *options;
  fp_folder_list(folder.folder, 0, remove_left_behind, &folder);
}

static void run(agent_session_process* session, const agent_options* options, int agent) {
  agent_signals_restore();
  prctl(AGENT_SIGNAL_AT_PARENTS_END, (unsigned long)AGENT_SIGNAL_KILL, 0UL, 0UL, 0UL);
  if (getppid() != agent || chdir(session->folder) != 0) _exit(1);
  setpgid(0, 0);
  _exit(agent_serve(session->socket, session->is_chunked, options, session->folder, session->shared) ? 0 : 1);
}

static int prepare(agent_session_process* session, const agent_options* options, const agent_greeting* greeting) {
  memset(session, 0, sizeof(*session));
  session->socket = greeting->socket;
  session->is_chunked = greeting->wants_chunks;
  session->timeout_secs = greeting->timeout_secs;
  session->until = greeting->timeout_secs > 0 ? agent_now() + greeting->timeout_secs : 0;
  const int length =
      snprintf(session->folder, sizeof(session->folder), "%s/session-%ld", options->folder, syscall(FP_SYS_GETPID));
  if (length < 0 || (size_t)length >= sizeof(session->folder)) return 0;
  agent_folder_remove(session->folder); /* of an agent that was killed and had the same number */
  if (mkdir(session->folder, 0700) != 0) return 0;
  void* shared = mmap(NULL, SHARED_BYTES, AGENT_PROT_READ_WRITE, AGENT_MAP_SHARED_ANONYMOUS, -1, 0);
  session->shared = shared != (void*)-1 ? shared : NULL;
  return session->shared != NULL;
}

static void forget(agent_session_process* session) {
  close(session->socket);
  if (session->shared != NULL) munmap((void*)(uintptr_t)session->shared, SHARED_BYTES);
  if (session->folder[0] != '\0') agent_folder_remove(session->folder);
  memset(session, 0, sizeof(*session));
}

int agent_session_start(agent_session_process* session, const agent_options* options, const agent_greeting* greeting,
                        void (*close_others)(void*), void* context) {
  const int agent = (int)syscall(FP_SYS_GETPID);
  int process = -1;
  if (prepare(session, options, greeting)) {
    process = fork();
  } else {
    agent_log("no session: cannot write to %.400s", options->folder);
  }
  if (process == 0) {
    close_others(context);
    run(session, options, agent);
  }
  if (process < 0) {
    forget(session);
    return 0;
  }
  session->process = process;
  return 1;
}

double agent_session_poll(const agent_session_process* session, agent_poll* polled, double latest) {
  const int watches = session->process != 0 && session->gone_since == 0 && !session->is_killed;
  *polled = (agent_poll){watches ? session->socket : -1, AGENT_POLL_HANGUP, 0};
  if (session->process == 0 || session->is_killed) return latest;
  if (session->until > 0 && session->until < latest) latest = session->until;
  const double end = session->gone_since + kHangupSecs;
  return session->gone_since > 0 && end < latest ? end : latest;
}

/* Answers the client's request in the session's place, if it waits for an answer of which nothing is out. With chunks,
 * which have numbers, nobody can speak for the session: there the client is told by the connection's end. */
static void speak_for(const agent_session_process* session, const char* text) {
  const uint32_t length = (uint32_t)strlen(text);
  const uint64_t size = 4 + 4 + 4 + 8 + (uint64_t)length;
  const int32_t numbers[3] = {RPC_EXCEPTION, 1, TYPE_TEXT};
  const uint64_t wide = length;
  uint8_t bytes[8 + 12 + 8 + 400];
  if (session->is_chunked || session->shared->is_answering || length > 400) return;
  memcpy(bytes, &size, 8);
  memcpy(bytes + 8, numbers, 12);
  memcpy(bytes + 20, &wide, 8);
  memcpy(bytes + 28, text, length);
  agent_tell(session->socket, bytes, 28 + length);
}

void agent_session_kill(agent_session_process* session) {
  if (session->process == 0 || session->is_killed) return;
  kill(-session->process, AGENT_SIGNAL_KILL); /* with the compilers that a driver may have started */
  kill(session->process, AGENT_SIGNAL_KILL);
  session->is_killed = 1;
}

void agent_session_work(agent_session_process* session, const agent_poll* polled, double now) {
  if (session->process == 0 || session->is_killed) return;
  if (session->gone_since == 0 && polled->file == session->socket && polled->came != 0) session->gone_since = now;
  if (session->until > 0 && now > session->until) {
    agent_log("session ended after its %g s", session->timeout_secs);
    agent_session_kill(session);
    char text[120];
    snprintf(text, sizeof(text), "RPCSessionTimeoutError: the session's %g s are over", session->timeout_secs);
    speak_for(session, text);
  } else if (session->gone_since > 0 && now - session->gone_since > kHangupSecs) {
    agent_log("client gone; session killed");
    agent_session_kill(session);
  }
}

int agent_session_collect(agent_session_process* session) {
  int status = 0;
  if (session->process == 0 || waitpid(session->process, &status, AGENT_WAIT_NO_HANG) != session->process) return 0;
  const int signal = status & 0x7f;
  if (signal != 0 && !session->is_killed) {
    char text[160];
    snprintf(text, sizeof(text), "the session's process was ended by signal %d%s: a kernel or the driver crashed",
             signal,
             signal == 11  ? " (SIGSEGV)"
             : signal == 6 ? " (SIGABRT)"
             : signal == 7 ? " (SIGBUS)"
                           : "");
    agent_log("%s", text);
    if (session->shared->is_working) speak_for(session, text);
  }
  kill(-session->process, AGENT_SIGNAL_KILL);
  forget(session);
  return 1;
}
