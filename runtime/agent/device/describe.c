#include "agent/device/describe.h"

/* TVM's DeviceAttrKind. */
enum {
  EXIST = 0,
  MOST_THREADS = 1,
  WARP = 2,
  SHARED_BYTES = 3,
  COMPUTE_VERSION = 4,
  NAME = 5,
  CLOCK = 6,
  PROCESSORS = 7,
  MOST_DIMENSIONS = 8,
  DRIVER = 12,
  CACHE_BYTES = 13,
  GLOBAL_BYTES = 14,
  IMAGE_PITCH = 16
};

static long long number_of(const agent_gpu* gpu, cl_device_info what, size_t size) {
  uint64_t value = 0;
  return gpu->device.api.clGetDeviceInfo(gpu->device.id, what, size, &value, NULL) == CL_SUCCESS ? (long long)value : 0;
}

static void text_of(const agent_gpu* gpu, cl_device_info what, char* text, size_t size) {
  text[0] = '\0';
  if (gpu->device.api.clGetDeviceInfo(gpu->device.id, what, size, text, NULL) != CL_SUCCESS) text[0] = '\0';
  text[size - 1] = '\0';
}

static const char* type_name(long long type) {
  return type & CL_DEVICE_TYPE_GPU           ? "gpu"
         : type & CL_DEVICE_TYPE_CPU         ? "cpu"
         : type & CL_DEVICE_TYPE_ACCELERATOR ? "accelerator"
                                             : "custom";
}

static void describe_extensions(const agent_gpu* gpu, agent_bytes* json) {
  static const size_t most = 16384;
  char* words = calloc(1, most);
  agent_json_name(json, "extensions");
  agent_bytes_format(json, "[");
  if (words != NULL) text_of(gpu, CL_DEVICE_EXTENSIONS, words, most);
  int count = 0;
  for (char* word = words; word != NULL && *word != '\0';) {
    char* end = word;
    while (*end != '\0' && *end != ' ') ++end;
    const char last = *end;
    *end = '\0';
    if (*word != '\0') {
      if (count++ > 0) agent_bytes_add(json, ", ", 2);
      agent_json_text(json, word);
    }
    word = last != '\0' ? end + 1 : end;
  }
  agent_bytes_format(json, "]");
  free(words);
}

void agent_describe_devices(const agent_gpu* gpu, agent_bytes* json) {
  const fp_opencl_device* device = &gpu->device;
  char version[128];
  text_of(gpu, CL_DEVICE_VERSION, version, sizeof(version));
  agent_bytes_format(json, "[{");
  agent_json_whole_of(json, "index", 0);
  agent_json_text_of(json, "platform", device->platform_name);
  agent_json_text_of(json, "platform_version", device->platform_version);
  agent_json_text_of(json, "name", device->name);
  agent_json_text_of(json, "vendor", device->vendor);
  agent_json_text_of(json, "driver", device->driver);
  agent_json_text_of(json, "version", version);
  agent_json_text_of(json, "type", type_name(number_of(gpu, CL_DEVICE_TYPE, 8)));
  agent_json_whole_of(json, "compute_units", number_of(gpu, CL_DEVICE_MAX_COMPUTE_UNITS, 4));
  agent_json_whole_of(json, "clock_mhz", number_of(gpu, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4));
  agent_json_whole_of(json, "max_work_group", number_of(gpu, CL_DEVICE_MAX_WORK_GROUP_SIZE, 8));
  agent_json_whole_of(json, "vector_width", number_of(gpu, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 4));
  agent_json_whole_of(json, "local_bytes", number_of(gpu, CL_DEVICE_LOCAL_MEM_SIZE, 8));
  agent_json_whole_of(json, "global_bytes", number_of(gpu, CL_DEVICE_GLOBAL_MEM_SIZE, 8));
  agent_json_whole_of(json, "cache_bytes", number_of(gpu, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, 8));
  agent_json_whole_of(json, "max_alloc_bytes", (long long)device->most_bytes);
  describe_extensions(gpu, json);
  agent_json_name(json, "fp16");
  agent_bytes_format(json, device->has_half ? "true" : "false");
  agent_json_name(json, "image2d");
  agent_bytes_format(json, device->image_width > 0 ? "true" : "false");
  agent_json_whole_of(json, "image2d_width", (long long)device->image_width);
  agent_json_whole_of(json, "image2d_height", (long long)device->image_height);
  agent_json_text_of(json, "loads", "package");
  agent_bytes_format(json, "}]");
}

void agent_describe_cache(const agent_gpu* gpu, agent_bytes* json) {
  const agent_cache_stats* stats = &gpu->cache_stats;
  agent_bytes_format(json, "{");
  agent_json_whole_of(json, "hits", stats->hits);
  agent_json_whole_of(json, "misses", stats->misses);
  agent_json_whole_of(json, "rejected", stats->rejected);
  agent_json_whole_of(json, "noted", stats->noted);
  agent_json_whole_of(json, "stored", stats->stored);
  agent_json_whole_of(json, "not_stored", stats->not_stored);
  agent_json_number_of(json, "build_secs", stats->build_secs);
  agent_json_text_of(json, "directory", gpu->cache_folder);
  agent_json_text_of(json, "unwritable", "");
  agent_bytes_format(json, "}");
}

/* "OpenCL 3.0 PoCL ..." to "3.0". */
static void shorten_version(char* version) {
  if (strncmp(version, "OpenCL ", 7) != 0) return;
  size_t length = 0;
  while (version[7 + length] != '\0' && version[7 + length] != ' ') ++length;
  memmove(version, version + 7, length);
  version[length] = '\0';
}

static void describe_sizes(const agent_gpu* gpu, char text[128]) {
  size_t sizes[3] = {1, 1, 1};
  gpu->device.api.clGetDeviceInfo(gpu->device.id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof(sizes), sizes, NULL);
  snprintf(text, 128, "[%zu, %zu, %zu]", sizes[0], sizes[1], sizes[2]);
}

int agent_describe_attribute(const agent_gpu* gpu, int64_t kind, long long* number, char text[128]) {
  switch (kind) {
    case EXIST:
      *number = 1;
      return 1;
    case MOST_THREADS:
      *number = number_of(gpu, CL_DEVICE_MAX_WORK_GROUP_SIZE, 8);
      return 1;
    case WARP: /* OpenCL 1.2 tells it per kernel only */
      *number = 1;
      return 1;
    case SHARED_BYTES:
      *number = number_of(gpu, CL_DEVICE_LOCAL_MEM_SIZE, 8);
      return 1;
    case COMPUTE_VERSION:
      text_of(gpu, CL_DEVICE_VERSION, text, 128);
      shorten_version(text);
      return 2;
    case NAME:
      text_of(gpu, CL_DEVICE_NAME, text, 128);
      return 2;
    case CLOCK: /* in kHz */
      *number = 1000 * number_of(gpu, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4);
      return 1;
    case PROCESSORS:
      *number = number_of(gpu, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
      return 1;
    case MOST_DIMENSIONS:
      describe_sizes(gpu, text);
      return 2;
    case DRIVER:
      text_of(gpu, CL_DRIVER_VERSION, text, 128);
      return 2;
    case CACHE_BYTES:
      *number = number_of(gpu, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, 8);
      return 1;
    case GLOBAL_BYTES:
      *number = number_of(gpu, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
      return 1;
    case IMAGE_PITCH:
      *number = number_of(gpu, CL_DEVICE_IMAGE_PITCH_ALIGNMENT, 4);
      return 1;
    default:
      return 0;
  }
}
