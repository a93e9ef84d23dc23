#include "agent/device/conditions.h"

#include "agent/core/clock.h"
#include "agent/core/folder.h"

/* Tests have a folder of their own. */
#ifndef AGENT_SYS
#define AGENT_SYS "/sys"
#endif

enum { LINE_BYTES = 512, TABLE_BYTES = 16384 };

#if defined(__x86_64__)
#define MACHINE "x86_64"
#else
#define MACHINE "aarch64"
#endif

/* The beginning of a file; 0 where it cannot be read. */
static size_t read_text(const char* path, char* text, size_t size) {
  const int file = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC);
  if (file < 0) return 0;
  size_t length = 0;
  long count = 0;
  while (length + 1 < size && (count = read(file, text + length, size - 1 - length)) > 0) length += (size_t)count;
  close(file);
  text[length] = '\0';
  return length;
}

/* The first line of a file, without what is blank at its end. */
static int read_line(const char* path, char line[LINE_BYTES]) {
  if (read_text(path, line, LINE_BYTES) == 0) return 0;
  size_t length = 0;
  while (line[length] != '\0' && line[length] != '\n') ++length;
  while (length > 0 && line[length - 1] == ' ') --length;
  line[length] = '\0';
  return length > 0;
}

static int read_number(const char* path, double* value) {
  char line[LINE_BYTES], *end;
  if (!read_line(path, line)) return 0;
  *value = strtod(line, &end);
  return end != line && *value - *value == 0; /* JSON has finite numbers alone */
}

/* A number behind a word that begins a line, such as "MemAvailable:". */
static int find_number(const char* text, const char* word, double* value) {
  const size_t size = strlen(word);
  for (const char* line = text; *line != '\0';) {
    if (strncmp(line, word, size) == 0) {
      const char* at = line + size;
      while (*at == ' ' || *at == '\t' || *at == ':') ++at;
      *value = strtod(at, NULL);
      return 1;
    }
    while (*line != '\0' && *line != '\n') ++line;
    if (*line == '\n') ++line;
  }
  return 0;
}

static void add_rounded(agent_bytes* json, const char* name, double value, int digits) {
  agent_json_name(json, name);
  agent_bytes_format(json, "%.*f", digits, value);
}

typedef struct mean {
  double sum;
  int count, online;
} mean;

static int add_clock(void* context, const char* name, int is_folder) {
  mean* clocks = context;
  char path[LINE_BYTES];
  double khz = 0;
  (void)is_folder;
  if (strncmp(name, "cpu", 3) != 0 || name[3] < '0' || name[3] > '9') return 1;
  ++clocks->online;
  snprintf(path, sizeof(path), AGENT_SYS "/devices/system/cpu/%.40s/online", name);
  double online = 1;
  if (read_number(path, &online) && online == 0) --clocks->online;
  snprintf(path, sizeof(path), AGENT_SYS "/devices/system/cpu/%.40s/cpufreq/scaling_cur_freq", name);
  if (read_number(path, &khz) && khz > 0) {
    clocks->sum += khz / 1000;
    ++clocks->count;
  }
  return 1;
}

/* The mean of all lines "cpu MHz : ..." of /proc/cpuinfo. */
static void add_listed_clocks(mean* clocks, const char* text) {
  double mhz = 0;
  for (const char* at = text; find_number(at, "cpu MHz", &mhz);) {
    clocks->sum += mhz;
    ++clocks->count;
    while (strncmp(at, "cpu MHz", 7) != 0) ++at;
    ++at;
    while (*at != '\0' && *at != '\n') ++at;
    if (*at == '\0') break;
    ++at;
  }
}

static void describe_processor(agent_bytes* json) {
  char line[LINE_BYTES];
  double value = 0;
  mean clocks = {0, 0, 0};
  agent_folder_list(AGENT_SYS "/devices/system/cpu", add_clock, &clocks);
  agent_json_whole_of(json, "cpus", clocks.online > 0 ? clocks.online : 1);
  if (read_number("/proc/loadavg", &value)) add_rounded(json, "load_1min", value, 2);
  char* text = clocks.count == 0 ? malloc(1 << 20) : NULL;
  if (text != NULL && read_text("/proc/cpuinfo", text, 1 << 20) > 0) add_listed_clocks(&clocks, text);
  free(text);
  if (clocks.count > 0) add_rounded(json, "cpu_clock_mhz", clocks.sum / clocks.count, 1);
  if (read_line(AGENT_SYS "/devices/system/cpu/cpu0/cpufreq/scaling_governor", line)) {
    agent_json_text_of(json, "cpu_governor", line);
  }
}

typedef struct clock_search {
  double clock;
} clock_search;

static int take_devfreq(void* context, const char* name, int is_folder) {
  clock_search* search = context;
  char path[LINE_BYTES];
  (void)is_folder;
  snprintf(path, sizeof(path), AGENT_SYS "/class/misc/mali0/device/devfreq/%.80s/cur_freq", name);
  return !(read_number(path, &search->clock) && search->clock > 0);
}

/* Kernels of phones' makers give Hz, kHz or MHz in files of one name; GPUs run at 10 MHz to 10 GHz. */
static double in_mhz(double clock) { return clock >= 1e7 ? clock / 1e6 : clock >= 1e4 ? clock / 1e3 : clock; }

static void describe_gpu(agent_bytes* json) {
  static const char* const places[] = {AGENT_SYS "/class/kgsl/kgsl-3d0/gpuclk",
                                       AGENT_SYS "/class/kgsl/kgsl-3d0/devfreq/cur_freq",
                                       AGENT_SYS "/class/misc/mali0/device/clock"};
  double value = 0;
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
    if (read_number(places[i], &value) && value > 0) {
      add_rounded(json, "gpu_clock_mhz", in_mhz(value), 1);
      return;
    }
  }
  clock_search search = {0};
  agent_folder_list(AGENT_SYS "/class/misc/mali0/device/devfreq", take_devfreq, &search);
  if (search.clock > 0) add_rounded(json, "gpu_clock_mhz", in_mhz(search.clock), 1);
}

typedef struct zones {
  agent_bytes* json;
  int count;
  double hottest;
} zones;

/* A zone that reads between 0 and 150 degrees: one that is off reads nonsense. */
static int add_zone(void* context, const char* name, int is_folder) {
  zones* all = context;
  char path[LINE_BYTES], type[LINE_BYTES], label[2 * LINE_BYTES];
  double raw = 0;
  (void)is_folder;
  if (strncmp(name, "thermal_zone", 12) != 0) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/temp", name);
  if (!read_number(path, &raw)) return 1;
  const double degrees = raw > 200 || raw < -200 ? raw / 1000 : raw;
  if (!(degrees > 0 && degrees < 150)) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/type", name);
  snprintf(label, sizeof(label), "%s:%s", name, read_line(path, type) ? type : "?");
  if (all->count++ == 0) {
    agent_json_name(all->json, "temperatures_celsius");
    agent_bytes_format(all->json, "{");
  }
  if (all->count > 1) agent_bytes_add(all->json, ", ", 2);
  agent_json_text(all->json, label);
  agent_bytes_format(all->json, ": %.1f", degrees);
  if (degrees > all->hottest) all->hottest = degrees;
  return 1;
}

typedef struct coolers {
  agent_bytes* json;
  int count;
} coolers;

/* What the kernel slows down to cool it: cooling devices that are not at rest. */
static int add_cooler(void* context, const char* name, int is_folder) {
  coolers* all = context;
  char path[LINE_BYTES], type[LINE_BYTES], label[2 * LINE_BYTES];
  double state = 0;
  (void)is_folder;
  if (strncmp(name, "cooling_device", 14) != 0) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/cur_state", name);
  if (!read_number(path, &state) || !(state > 0)) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/type", name);
  snprintf(label, sizeof(label), "%s:%s", name, read_line(path, type) ? type : "?");
  if (all->count++ == 0) {
    agent_json_name(all->json, "throttled");
    agent_bytes_format(all->json, "{");
  }
  if (all->count > 1) agent_bytes_add(all->json, ", ", 2);
  agent_json_text(all->json, label);
  agent_bytes_format(all->json, ": %.0f", state);
  return 1;
}

static void describe_heat(agent_bytes* json) {
  zones temperatures = {json, 0, 0};
  coolers throttled = {json, 0};
  agent_folder_list(AGENT_SYS "/class/thermal", add_zone, &temperatures);
  if (temperatures.count > 0) {
    agent_bytes_format(json, "}");
    add_rounded(json, "hottest_celsius", temperatures.hottest, 1);
  }
  agent_folder_list(AGENT_SYS "/class/thermal", add_cooler, &throttled);
  if (throttled.count > 0) agent_bytes_format(json, "}");
}

static void describe_battery(agent_bytes* json) {
  char line[LINE_BYTES];
  double value = 0;
  if (read_number(AGENT_SYS "/class/power_supply/battery/capacity", &value))
    add_rounded(json, "battery_percent", value, 0);
  if (read_line(AGENT_SYS "/class/power_supply/battery/status", line)) agent_json_text_of(json, "battery_status", line);
}

void agent_describe_conditions(agent_bytes* json) {
  char table[TABLE_BYTES];
  double kib = 0;
  agent_bytes_format(json, "{");
  agent_json_name(json, "time_unix_secs");
  agent_bytes_format(json, "%.3f", agent_clock_secs(AGENT_CLOCK_REALTIME));
  agent_json_text_of(json, "machine", MACHINE);
  describe_processor(json);
  describe_gpu(json);
  describe_heat(json);
  describe_battery(json);
  if (read_text("/proc/meminfo", table, sizeof(table)) > 0 && find_number(table, "MemAvailable", &kib)) {
    agent_json_whole_of(json, "memory_available_bytes", (long long)kib * 1024);
  }
  agent_bytes_format(json, "}");
}
