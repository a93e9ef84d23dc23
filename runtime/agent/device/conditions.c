#include "agent/device/conditions.h"

#include "agent/core/clock.h"
#include "agent/device/kernel_files.h"
#include "core/folder.h"

enum { TABLE_BYTES = 16384 };

#if defined(__x86_64__)
#define MACHINE "x86_64"
#else
#define MACHINE "aarch64"
#endif

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
  char path[AGENT_LINE_BYTES];
  double khz = 0;
  (void)is_folder;
  if (strncmp(name, "cpu", 3) != 0 || name[3] < '0' || name[3] > '9') return 1;
  ++clocks->online;
  snprintf(path, sizeof(path), AGENT_SYS "/devices/system/cpu/%.40s/online", name);
  double online = 1;
  if (agent_read_number(path, &online) && online == 0) --clocks->online;
  snprintf(path, sizeof(path), AGENT_SYS "/devices/system/cpu/%.40s/cpufreq/scaling_cur_freq", name);
  if (agent_read_number(path, &khz) && khz > 0) {
    clocks->sum += khz / 1000;
    ++clocks->count;
  }
  return 1;
}

/* The mean of all lines "cpu MHz : ..." of /proc/cpuinfo. */
static void add_listed_clocks(mean* clocks, const char* text) {
  double mhz = 0;
  for (const char* at = text; agent_find_number(at, "cpu MHz", &mhz);) {
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
  char line[AGENT_LINE_BYTES];
  double value = 0;
  mean clocks = {0, 0, 0};
  fp_folder_list(AGENT_SYS "/devices/system/cpu", 0, add_clock, &clocks);
  agent_json_whole_of(json, "cpus", clocks.online > 0 ? clocks.online : 1);
  if (agent_read_number("/proc/loadavg", &value)) add_rounded(json, "load_1min", value, 2);
  char* text = clocks.count == 0 ? malloc(1 << 20) : NULL;
  if (text != NULL && agent_read_text("/proc/cpuinfo", text, 1 << 20) > 0) add_listed_clocks(&clocks, text);
  free(text);
  if (clocks.count > 0) add_rounded(json, "cpu_clock_mhz", clocks.sum / clocks.count, 1);
  if (agent_read_line(AGENT_SYS "/devices/system/cpu/cpu0/cpufreq/scaling_governor", line)) {
    agent_json_text_of(json, "cpu_governor", line);
  }
}

/* Seconds of all cores together, from "cpu  user nice system idle iowait irq softirq steal ..." in 1/100 s. */
static void describe_processor_time(agent_bytes* json) {
  char line[AGENT_LINE_BYTES], *at = line + 3, *end;
  double busy = 0, idle = 0;
  if (!agent_read_line("/proc/stat", line) || strncmp(line, "cpu ", 4) != 0) return;
  for (int i = 0; i < 8; ++i, at = end) {
    const double count = strtod(at, &end);
    if (end == at) return;
    *(i == 3 || i == 4 ? &idle : &busy) += count / 100;
  }
  add_rounded(json, "cpu_busy_secs", busy, 2);
  add_rounded(json, "cpu_idle_secs", idle, 2);
}

typedef struct clock_search {
  const char* file;
  double clock;
} clock_search;

static int take_devfreq(void* context, const char* name, int is_folder) {
  clock_search* search = context;
  char path[AGENT_LINE_BYTES];
  (void)is_folder;
  snprintf(path, sizeof(path), AGENT_SYS "/class/misc/mali0/device/devfreq/%.80s/%s", name, search->file);
  return !(agent_read_number(path, &search->clock) && search->clock > 0);
}

/* Kernels of phones' makers give Hz, kHz or MHz in files of one name; GPUs run at 10 MHz to 10 GHz. */
static double in_mhz(double clock) { return clock >= 1e7 ? clock / 1e6 : clock >= 1e4 ? clock / 1e3 : clock; }

/* The first clock of some files, or of a file in a folder of Mali's devfreq. */
static void add_gpu_clock(agent_bytes* json, const char* name, const char* const* places, const char* devfreq) {
  double value = 0;
  for (; *places != NULL; ++places) {
    if (agent_read_number(*places, &value) && value > 0) {
      add_rounded(json, name, in_mhz(value), 1);
      return;
    }
  }
  clock_search search = {devfreq, 0};
  fp_folder_list(AGENT_SYS "/class/misc/mali0/device/devfreq", 0, take_devfreq, &search);
  if (search.clock > 0) add_rounded(json, name, in_mhz(search.clock), 1);
}

static void describe_gpu(agent_bytes* json) {
  static const char* const now[] = {AGENT_SYS "/class/kgsl/kgsl-3d0/gpuclk",
                                    AGENT_SYS "/class/kgsl/kgsl-3d0/devfreq/cur_freq",
                                    AGENT_SYS "/class/misc/mali0/device/clock", NULL};
  static const char* const most[] = {AGENT_SYS "/class/kgsl/kgsl-3d0/max_gpuclk",
                                     AGENT_SYS "/class/kgsl/kgsl-3d0/devfreq/max_freq", NULL};
  add_gpu_clock(json, "gpu_clock_mhz", now, "cur_freq");
  add_gpu_clock(json, "gpu_clock_most_mhz", most, "max_freq");
}

typedef struct zones {
  agent_bytes* json;
  int count;
  double hottest;
} zones;

/* A zone that reads between 0 and 150 degrees: one that is off reads nonsense. */
static int add_zone(void* context, const char* name, int is_folder) {
  zones* all = context;
  char path[AGENT_LINE_BYTES], type[AGENT_LINE_BYTES], label[2 * AGENT_LINE_BYTES];
  double raw = 0;
  (void)is_folder;
  if (strncmp(name, "thermal_zone", 12) != 0) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/temp", name);
  if (!agent_read_number(path, &raw)) return 1;
  const double degrees = raw > 200 || raw < -200 ? raw / 1000 : raw;
  if (!(degrees > 0 && degrees < 150)) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/type", name);
  snprintf(label, sizeof(label), "%s:%s", name, agent_read_line(path, type) ? type : "?");
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
  char path[AGENT_LINE_BYTES], type[AGENT_LINE_BYTES], label[2 * AGENT_LINE_BYTES];
  double state = 0;
  (void)is_folder;
  if (strncmp(name, "cooling_device", 14) != 0) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/cur_state", name);
  if (!agent_read_number(path, &state) || !(state > 0)) return 1;
  snprintf(path, sizeof(path), AGENT_SYS "/class/thermal/%.80s/type", name);
  snprintf(label, sizeof(label), "%s:%s", name, agent_read_line(path, type) ? type : "?");
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
  fp_folder_list(AGENT_SYS "/class/thermal", 0, add_zone, &temperatures);
  if (temperatures.count > 0) {
    agent_bytes_format(json, "}");
    add_rounded(json, "hottest_celsius", temperatures.hottest, 1);
  }
  fp_folder_list(AGENT_SYS "/class/thermal", 0, add_cooler, &throttled);
  if (throttled.count > 0) agent_bytes_format(json, "}");
}

static void describe_battery(agent_bytes* json) {
  char line[AGENT_LINE_BYTES];
  double value = 0;
  if (agent_read_number(AGENT_SYS "/class/power_supply/battery/capacity", &value))
    add_rounded(json, "battery_percent", value, 0);
  if (agent_read_line(AGENT_SYS "/class/power_supply/battery/status", line)) {
    agent_json_text_of(json, "battery_status", line);
  }
}

void agent_describe_conditions(agent_bytes* json) {
  char table[TABLE_BYTES];
  double kib = 0;
  agent_bytes_format(json, "{");
  agent_json_name(json, "time_unix_secs");
  agent_bytes_format(json, "%.3f", agent_clock_secs(AGENT_CLOCK_REALTIME));
  agent_json_text_of(json, "machine", MACHINE);
  describe_processor(json);
  describe_processor_time(json);
  describe_gpu(json);
  describe_heat(json);
  describe_battery(json);
  if (agent_read_text("/proc/meminfo", table, sizeof(table)) > 0 && agent_find_number(table, "MemAvailable", &kib)) {
    agent_json_whole_of(json, "memory_available_bytes", (long long)kib * 1024);
  }
  agent_bytes_format(json, "}");
}
