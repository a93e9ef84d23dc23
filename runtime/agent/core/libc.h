/* The functions of libc that the agent calls besides those of the runtime (core/libc.h), by prototypes of its own.
 *
 * Sockets, processes and clocks: their structures are the kernel's, alike in every libc. What differs between libcs is
 * left alone: errno, struct stat and dirent, signal sets, addrinfo.
 */
#ifndef FLEETPOSE_AGENT_CORE_LIBC_H
#define FLEETPOSE_AGENT_CORE_LIBC_H

#include "core/libc.h"

int accept4(int socket, void* address, uint32_t* size, int flags);
int bind(int socket, const void* address, uint32_t size);
int connect(int socket, const void* address, uint32_t size);
int getsockname(int socket, void* address, uint32_t* size);
int getsockopt(int socket, int level, int option, void* value, uint32_t* size);
int listen(int socket, int backlog);
long recv(int socket, void* bytes, size_t size, int flags);
long send(int socket, const void* bytes, size_t size, int flags);
int setsockopt(int socket, int level, int option, const void* value, uint32_t size);
int socket(int domain, int type, int protocol);

int chdir(const char* path);
char* getcwd(char* path, size_t size);
int clock_gettime(int clock, void* time);
void _exit(int status);
int fork(void);
int getppid(void);
int kill(int process, int signal);
int poll(void* polled, unsigned long count, int milliseconds);
int prctl(int option, ...);
int rmdir(const char* path);
int setpgid(int process, int group);
int waitpid(int process, int* status, int options);

void* memmove(void* to, const void* from, size_t size);
int strncmp(const char* one, const char* other, size_t size);
double strtod(const char* text, char** end);
void qsort(void* items, size_t count, size_t size, int (*compare)(const void*, const void*));

/* Structures of the kernel's. */
typedef struct agent_address {
  uint16_t family, port; /* the port's bytes in the network's order */
  uint8_t host[4], unused[8];
} agent_address;

typedef struct agent_poll {
  int file;
  int16_t wanted, came;
} agent_poll;

typedef struct agent_time {
  long secs, nanos;
} agent_time;

/* Linux's values; they are the same on x86-64 and arm64. */
enum {
  AGENT_INTERNET = 2,
  AGENT_STREAM = 1,
  AGENT_NONBLOCKING = 04000,
  AGENT_CLOSE_ON_EXEC = 02000000,
  AGENT_LEVEL_SOCKET = 1,
  AGENT_REUSE_ADDRESS = 2,
  AGENT_SOCKET_ERROR = 4,
  AGENT_KEEP_ALIVE = 9,
  AGENT_LEVEL_TCP = 6,
  AGENT_TCP_NO_DELAY = 1,
  AGENT_TCP_KEEP_IDLE = 4,
  AGENT_TCP_KEEP_INTERVAL = 5,
  AGENT_TCP_KEEP_COUNT = 6,
  AGENT_TCP_USER_TIMEOUT = 18,
  AGENT_DO_NOT_WAIT = 0x40,
  AGENT_NO_SIGNAL = 0x4000,
  AGENT_POLL_IN = 1,
  AGENT_POLL_OUT = 4,
  AGENT_POLL_ERROR = 8,
  AGENT_POLL_CLOSED = 16,
  AGENT_POLL_HANGUP = 0x2000,
  AGENT_SIGNAL_INTERRUPT = 2,
  AGENT_SIGNAL_KILL = 9,
  AGENT_SIGNAL_PIPE = 13,
  AGENT_SIGNAL_TERMINATE = 15,
  AGENT_SIGNAL_CHILD = 17,
  AGENT_WAIT_NO_HANG = 1,
  AGENT_CLOCK_REALTIME = 0,
  AGENT_CLOCK_MONOTONIC = 1,
  AGENT_SIGNAL_AT_PARENTS_END = 1,
  AGENT_MAP_SHARED_ANONYMOUS = 0x21,
  AGENT_PROT_READ_WRITE = 3
};

/* ..._AT: the bytes of a file's mode, owner, size and time of change in what the kernel says of it. */
enum { AGENT_SIZE_AT = 48, AGENT_CHANGED_AT = 88 };
#if defined(__x86_64__)
enum { AGENT_SYS_SIGNAL_MASK = 14, AGENT_SYS_SIGNAL_FILE = 289, AGENT_SYS_RANDOM = 318, AGENT_SYS_USER = 107 };
enum { AGENT_SYS_FILE_FACTS = 262, AGENT_SYS_FILE_TIMES = 280, AGENT_MODE_AT = 24, AGENT_OWNER_AT = 28 };
#elif defined(__aarch64__)
enum { AGENT_SYS_SIGNAL_MASK = 135, AGENT_SYS_SIGNAL_FILE = 74, AGENT_SYS_RANDOM = 278, AGENT_SYS_USER = 175 };
enum { AGENT_SYS_FILE_FACTS = 79, AGENT_SYS_FILE_TIMES = 88, AGENT_MODE_AT = 16, AGENT_OWNER_AT = 24 };
#endif

#endif
