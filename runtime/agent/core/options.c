#include "agent/core/options.h"

#include "agent/core/log.h"

static const char kUsage[] =
    "usage: fleetpose-agent --tracker HOST:PORT --key KEY [--port P] [--host ADDRESS] [--folder DIR] "
    "[--forward-port P] [--give-up-secs S] [--version]";

/* A port, or another whole number below 65536; 0 for none. */
static unsigned read_port(const char* text) {
  unsigned value = 0;
  size_t digits = 0;
  for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; ++digits)
    value = 10 * value + (unsigned)(text[digits] - '0');
  return digits > 0 && text[digits] == '\0' && value < 65536 ? value : 0;
}

static int read_tracker(agent_options* options, const char* text) {
  char host[64];
  const char* colon = text;
  for (const char* letter = text; *letter != '\0'; ++letter) {
    if (*letter == ':') colon = letter;
  }
  const size_t length = (size_t)(colon - text);
  if (*colon != ':' || length == 0 || length >= sizeof(host)) return 0;
  memcpy(host, text, length);
  host[length] = '\0';
  const unsigned port = read_port(colon + 1);
  return port != 0 && agent_address_read(&options->tracker, host, port);
}

/* A word that can stand in a device's name and in JSON as it is. */
static int read_key(agent_options* options, const char* text) {
  const size_t length = strlen(text);
  if (length == 0 || length >= sizeof(options->key)) return 0;
  for (size_t i = 0; i < length; ++i) {
    if (text[i] <= ' ' || text[i] > '~' || text[i] == ':' || text[i] == '"' || text[i] == '\\') return 0;
  }
  memcpy(options->key, text, length + 1);
  return 1;
}

/* Sessions have folders of their own, from which a relative path would lead elsewhere. */
static int read_folder(agent_options* options, const char* text) {
  char here[AGENT_PATH_BYTES] = "";
  options->is_usual_folder = 0;
  if (*text != '/' && getcwd(here, sizeof(here)) == NULL) return 0;
  const int length = snprintf(options->folder, sizeof(options->folder), "%s%s%s", here, *text != '/' ? "/" : "", text);
  return *text != '\0' && length > 0 && (size_t)length < sizeof(options->folder) - 128;
}

/* Takes one flag and its value; 0 where either is wrong. */
static int take(agent_options* options, const char* flag, const char* value) {
  if (strcmp(flag, "--tracker") == 0) return read_tracker(options, value);
  if (strcmp(flag, "--key") == 0) return read_key(options, value);
  if (strcmp(flag, "--folder") == 0) return read_folder(options, value);
  if (strcmp(flag, "--forward-port") == 0) return (options->told_port = read_port(value)) != 0;
  if (strcmp(flag, "--give-up-secs") == 0) return (options->give_up_secs = read_port(value)) != 0;
  if (strcmp(flag, "--port") == 0) {
    const unsigned port = read_port(value);
    char text[AGENT_ADDRESS_TEXT];
    agent_address_write(&options->listening, 0, text);
    return port != 0 && agent_address_read(&options->listening, text, port);
  }
  if (strcmp(flag, "--host") == 0) {
    return agent_address_read(&options->listening, value, agent_address_port(&options->listening));
  }
  return 0;
}

static void set_usual(agent_options* options) {
  memset(options, 0, sizeof(*options));
  agent_address_read(&options->listening, "127.0.0.1", 0);
  const char* temporary = getenv("TMPDIR");
  const char* base = temporary != NULL && *temporary != '\0' && strlen(temporary) < 256 ? temporary : "/tmp";
  snprintf(options->folder, sizeof(options->folder), "%s/fleetpose-agent", base);
  options->is_usual_folder = 1;
}

int agent_options_read(agent_options* options, int count, char** words) {
  set_usual(options);
  for (int i = 1; i < count; ++i) {
    if (strcmp(words[i], "--version") == 0) {
      options->only_version = 1;
      return 1;
    }
    if (i + 1 >= count || !take(options, words[i], words[i + 1])) {
      agent_log("%.80s %.80s is no flag with its value (addresses are numbers, such as 192.168.1.20); %s", words[i],
                i + 1 < count ? words[i + 1] : "", kUsage);
      return 0;
    }
    ++i;
  }
  if (options->key[0] != '\0' && options->tracker.family != 0) return 1;
  agent_log("--tracker and --key are needed; %s", kUsage);
  return 0;
}
