#include "opencl/device.h"

#include "core/error.h"
#include "core/libc.h"
#include "core/text.h"
#include "opencl/select.h"

enum { MOST_PLATFORMS = 16, MOST_DEVICES = 64 };

typedef struct listing {
  cl_platform_id platforms[MOST_DEVICES];
  cl_device_id devices[MOST_DEVICES];
  fp_listed names[MOST_DEVICES];
  size_t count;
} listing;

static void read_platform_text(const fp_api* api, cl_platform_id platform, cl_uint what, char* text, size_t size) {
  text[0] = '\0';
  if (api->clGetPlatformInfo(platform, what, size, text, NULL) != CL_SUCCESS) text[0] = '\0';
  text[size - 1] = '\0';
}

static void read_text(const fp_api* api, cl_device_id id, cl_uint what, char* text, size_t size) {
  text[0] = '\0';
  if (api->clGetDeviceInfo(id, what, size, text, NULL) != CL_SUCCESS) text[0] = '\0';
  text[size - 1] = '\0';
}

/* A number of 4 or 8 bytes; 0 where the driver does not know it. */
static uint64_t read_number(const fp_api* api, cl_device_id id, cl_uint what, size_t size) {
  uint64_t value = 0;
  return api->clGetDeviceInfo(id, what, size, &value, NULL) == CL_SUCCESS ? value : 0;
}

/* A platform that fails or is empty is passed over. */
static void list_platform(const fp_api* api, cl_platform_id platform, uint32_t index, listing* all) {
  cl_device_id devices[MOST_DEVICES];
  cl_uint count = 0;
  if (api->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MOST_DEVICES, devices, &count) != CL_SUCCESS) return;
  for (uint32_t i = 0; i < count && i < MOST_DEVICES && all->count < MOST_DEVICES; ++i) {
    fp_listed* item = &all->names[all->count];
    item->platform_index = index;
    item->device_index = i;
    read_platform_text(api, platform, CL_PLATFORM_NAME, item->platform, sizeof(item->platform));
    read_text(api, devices[i], CL_DEVICE_NAME, item->device, sizeof(item->device));
    item->is_gpu = (read_number(api, devices[i], CL_DEVICE_TYPE, 8) & CL_DEVICE_TYPE_GPU) != 0;
    all->platforms[all->count] = platform;
    all->devices[all->count] = devices[i];
    ++all->count;
  }
}

static void list_devices(const fp_api* api, listing* all) {
  cl_platform_id platforms[MOST_PLATFORMS];
  cl_uint count = 0;
  all->count = 0;
  if (api->clGetPlatformIDs(MOST_PLATFORMS, platforms, &count) != CL_SUCCESS) return;
  for (uint32_t i = 0; i < count && i < MOST_PLATFORMS; ++i) list_platform(api, platforms[i], i, all);
}

static fp_status choose(fp_opencl_device* device, const listing* all, const char* selection, fp_error* error) {
  const int chosen = fp_select_device(all->names, all->count, selection);
  if (chosen >= 0) {
    device->platform = all->platforms[chosen];
    device->id = all->devices[chosen];
    return FP_OK;
  }
  if (all->count == 0) return fp_fail(error, FP_NO_OPENCL, "OpenCL lists no device");
  char names[300] = "";
  size_t length = 0;
  for (size_t i = 0; i < all->count && length < sizeof(names) - 1; ++i) {
    const fp_listed* item = &all->names[i];
    const int more = snprintf(names + length, sizeof(names) - length, "%s%u:%u %s: %s", i > 0 ? ", " : "",
                              item->platform_index, item->device_index, item->platform, item->device);
    length += more > 0 ? (size_t)more : 0;
  }
  return fp_fail(error, FP_NO_OPENCL,
                 "device %.80s (PLATFORM[:DEVICE], each an index or part of a name) is none of: %s", selection, names);
}

static int read_extensions(fp_opencl_device* device) {
  const fp_api* api = &device->api;
  size_t size = 0;
  if (api->clGetDeviceInfo(device->id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS) return 1;
  char* words = calloc(1, size + 1);
  if (words == NULL) return 0;
  if (api->clGetDeviceInfo(device->id, CL_DEVICE_EXTENSIONS, size, words, NULL) == CL_SUCCESS) {
    device->has_half = fp_text_has_word(words, "cl_khr_fp16");
    device->has_command_buffers = fp_text_has_word(words, "cl_khr_command_buffer");
    device->has_qcom_recordings = fp_text_has_word(words, "cl_qcom_recordable_queues");
  }
  free(words);
  return 1;
}

static fp_status read_facts(fp_opencl_device* device, fp_error* error) {
  const fp_api* api = &device->api;
  const cl_device_id id = device->id;
  read_platform_text(api, device->platform, CL_PLATFORM_NAME, device->platform_name, sizeof(device->platform_name));
  read_platform_text(api, device->platform, CL_PLATFORM_VERSION, device->platform_version,
                     sizeof(device->platform_version));
  read_text(api, id, CL_DEVICE_NAME, device->name, sizeof(device->name));
  read_text(api, id, CL_DEVICE_VENDOR, device->vendor, sizeof(device->vendor));
  read_text(api, id, CL_DRIVER_VERSION, device->driver, sizeof(device->driver));
  snprintf(device->line, sizeof(device->line), "%s (%s), driver %s", device->name, device->platform_name,
           device->driver);
  device->is_cpu = (read_number(api, id, CL_DEVICE_TYPE, 8) & CL_DEVICE_TYPE_CPU) != 0;
  device->most_bytes = read_number(api, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
  if (read_number(api, id, CL_DEVICE_IMAGE_SUPPORT, 4) == CL_TRUE) {
    device->image_width = read_number(api, id, CL_DEVICE_IMAGE2D_MAX_WIDTH, 8);
    device->image_height = read_number(api, id, CL_DEVICE_IMAGE2D_MAX_HEIGHT, 8);
  }
  const uint64_t bits = read_number(api, id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, 4);
  device->alignment = bits >= 8 * FPK_ALIGNMENT ? (uint32_t)(bits / 8) : FPK_ALIGNMENT;
  return read_extensions(device) ? FP_OK : fp_fail(error, FP_NO_MEMORY, "no memory for the names of extensions");
}

fp_status fp_device_find(fp_opencl_device* device, const fp_options* options, fp_error* error) {
  fp_status status = fp_api_open(&device->api, options->library, error);
  if (status != FP_OK) return status;
  const char* selection = options->device != NULL ? options->device : getenv("FLEETPOSE_OPENCL_DEVICE");
  listing* all = malloc(sizeof(listing));
  if (all == NULL) return fp_fail(error, FP_NO_MEMORY, "no memory for the list of devices");
  list_devices(&device->api, all);
  status = choose(device, all, selection != NULL ? selection : "", error);
  free(all);
  return status == FP_OK ? read_facts(device, error) : status;
}

static fp_status check_images(const fp_opencl_device* device, const fp_package* package, fp_error* error) {
  for (uint32_t i = 0; i < package->constant_count; ++i) {
    const fpk_constant* constant = &package->constants[i];
    if (constant->image_width == 0) continue;
    if (device->image_width == 0) {
      return fp_fail(error, FP_WRONG_DEVICE, "%s has no images, in which the package keeps weights: build it without",
                     device->line);
    }
    if (constant->image_width > device->image_width || constant->image_height > device->image_height) {
      return fp_fail(error, FP_WRONG_DEVICE, "an image of %u x %u texels does not fit %s, which takes %zu x %zu",
                     constant->image_width, constant->image_height, device->line, device->image_width,
                     device->image_height);
    }
  }
  return FP_OK;
}

/* Whether a device is of a kind such as "mali", "adreno" or "cpu": by what it and its maker are called. */
static int is_of_kind(const fp_opencl_device* device, const char* kind) {
  if (strcmp(kind, "cpu") == 0) return device->is_cpu;
  const size_t size = strlen(kind);
  return fp_text_contains(device->name, kind, size) || fp_text_contains(device->vendor, kind, size) ||
         fp_text_contains(device->platform_name, kind, size);
}

fp_status fp_device_check(const fp_opencl_device* device, const fp_package* package, uint32_t flags, fp_error* error) {
  const char* kind = fp_setting_text(&package->settings, "built.gpu", "");
  if (!(flags & FP_FLAG_ANY_DEVICE) && *kind != '\0' && !is_of_kind(device, kind)) {
    return fp_fail(error, FP_WRONG_DEVICE,
                   "the package was built for %.40s, this is %s: build one for it, or open this one with "
                   "FP_FLAG_ANY_DEVICE",
                   kind, device->line);
  }
  const char* dtype = fp_setting_text(&package->settings, "built.dtype", "float32");
  if (strcmp(dtype, "float16") == 0 && !device->has_half) {
    return fp_fail(error, FP_WRONG_DEVICE, "%s has no half precision (cl_khr_fp16): build the package with float32",
                   device->line);
  }
  return check_images(device, package, error);
}
