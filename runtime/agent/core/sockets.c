#include "agent/core/sockets.h"

enum { BACKLOG = 128 };

int agent_address_read(agent_address* address, const char* host, unsigned port) {
  memset(address, 0, sizeof(*address));
  address->family = AGENT_INTERNET;
  address->port = (uint16_t)((port & 0xff) << 8 | port >> 8);
  if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
  for (int part = 0; part < 4; ++part) {
    unsigned value = 0, digits = 0;
    for (; *host >= '0' && *host <= '9' && digits < 4; ++host, ++digits) value = 10 * value + (unsigned)(*host - '0');
    if (digits == 0 || digits > 3 || value > 255 || *host != (part < 3 ? '.' : '\0')) return 0;
    address->host[part] = (uint8_t)value;
    if (part < 3) ++host;
  }
  return 1;
}

unsigned agent_address_port(const agent_address* address) {
  return (unsigned)(address->port >> 8 | (address->port & 0xff) << 8);
}

void agent_address_write(const agent_address* address, int with_port, char text[AGENT_ADDRESS_TEXT]) {
  const uint8_t* host = address->host;
  const int length = snprintf(text, AGENT_ADDRESS_TEXT, "%u.%u.%u.%u", host[0], host[1], host[2], host[3]);
  if (with_port) snprintf(text + length, (size_t)(AGENT_ADDRESS_TEXT - length), ":%u", agent_address_port(address));
}

int agent_listen(agent_address* address) {
  const int made = socket(AGENT_INTERNET, AGENT_STREAM | AGENT_NONBLOCKING | AGENT_CLOSE_ON_EXEC, 0);
  const int yes = 1;
  uint32_t size = sizeof(*address);
  if (made < 0) return -1;
  setsockopt(made, AGENT_LEVEL_SOCKET, AGENT_REUSE_ADDRESS, &yes, sizeof(yes));
  if (bind(made, address, sizeof(*address)) == 0 && listen(made, BACKLOG) == 0 &&
      getsockname(made, address, &size) == 0) {
    return made;
  }
  close(made);
  return -1;
}

void agent_tune(int socket) {
  static const struct {
    int level, option, value;
  } settings[] = {{AGENT_LEVEL_TCP, AGENT_TCP_NO_DELAY, 1},   {AGENT_LEVEL_SOCKET, AGENT_KEEP_ALIVE, 1},
                  {AGENT_LEVEL_TCP, AGENT_TCP_KEEP_IDLE, 10}, {AGENT_LEVEL_TCP, AGENT_TCP_KEEP_INTERVAL, 5},
                  {AGENT_LEVEL_TCP, AGENT_TCP_KEEP_COUNT, 3}, {AGENT_LEVEL_TCP, AGENT_TCP_USER_TIMEOUT, 30000}};
  for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); ++i) {
    setsockopt(socket, settings[i].level, settings[i].option, &settings[i].value, sizeof(int));
  }
}

int agent_connect(const agent_address* address) {
  const int made = socket(AGENT_INTERNET, AGENT_STREAM | AGENT_NONBLOCKING | AGENT_CLOSE_ON_EXEC, 0);
  if (made < 0) return -1;
  agent_tune(made);
  connect(made, address, sizeof(*address)); /* which answers that it has only begun */
  return made;
}

int agent_connected(int socket) {
  int error = 0;
  uint32_t size = sizeof(error);
  return getsockopt(socket, AGENT_LEVEL_SOCKET, AGENT_SOCKET_ERROR, &error, &size) == 0 && error == 0;
}

long agent_take(int socket, void* bytes, size_t size) { return recv(socket, bytes, size, AGENT_DO_NOT_WAIT); }

int agent_tell(int socket, const void* bytes, size_t size) {
  return send(socket, bytes, size, AGENT_DO_NOT_WAIT | AGENT_NO_SIGNAL) == (long)size;
}
