/* fleetpose: a pose network on the GPU of a phone, from a picture to people, without TVM and without Python.
 *
 * A package (.fpk, made by `codegen.build --format package`) holds a network compiled for a kind of GPU. This interface
 * opens one, runs it and finds people. It needs OpenCL, which it opens by dlopen, and libc, libm and libdl.
 *
 * Handles may be used by several threads: calls on one handle wait for each other, calls on different handles do not.
 * There is no global state. After the first frame of each input size no call allocates memory on the host.
 * Every function that can fail answers a status and, where `error` is not NULL, says in words what went wrong.
 */
#ifndef FLEETPOSE_H
#define FLEETPOSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FP_API __attribute__((visibility("default")))

/* Of this interface; a struct that grows has its size as first field, so that older callers stay right. */
#define FP_VERSION 1

typedef enum fp_status {
  FP_OK = 0,
  FP_BAD_ARGUMENT = 1, /* the caller's mistake: a null pointer, a size the network does not take, another format */
  FP_BAD_PACKAGE = 2,  /* the package is damaged, of another version, or contradicts itself */
  FP_NO_OPENCL = 3,    /* no usable libOpenCL, or none with a device */
  FP_WRONG_DEVICE = 4, /* the device lacks what the package needs: half precision, images, memory */
  FP_DEVICE_ERROR = 5, /* the driver refused or failed; the text has its code */
  FP_NO_MEMORY = 6,
  FP_FILE_ERROR = 7, /* a file cannot be read or mapped */
  FP_NOT_A_POSE_NETWORK = 8, /* its outputs have no decoder here: use fp_run */
  FP_WRONG_RESULT = 9 /* a kernel computes what it should not on this device, and the package has no other for it */
} fp_status;

typedef struct fp_error {
  fp_status status;
  char text[508]; /* one line, zero-terminated, cut where it is longer */
} fp_error;

typedef struct fp_network fp_network;

/* How to open a network. Zeros are the defaults; size is sizeof(fp_options). */
typedef struct fp_options {
  uint32_t size;
  uint32_t flags;           /* FP_FLAG_... */
  const char* library;      /* libOpenCL to open; NULL: FLEETPOSE_LIBOPENCL, then the usual places */
  const char* device;       /* PLATFORM[:DEVICE], each an index or part of a name; NULL: FLEETPOSE_OPENCL_DEVICE, then the first GPU */
  const char* cache_folder; /* where compiled kernels are kept from start to start, an app's cache folder; NULL: nowhere */
} fp_options;

#define FP_FLAG_EVENTS 1u        /* keep OpenCL's times of each kernel, for fp_times; a little slower */
#define FP_FLAG_NO_SELF_CHECK 2u /* do not compare kernels with what they should compute at the first start on a device */
#define FP_FLAG_RECORD 4u        /* launch all kernels of an inference at once where the driver can record commands */
#define FP_FLAG_ANY_DEVICE 8u    /* open it although it was built for another kind of GPU */

/* Open a package; the network is ready to run when it returns. On failure *network is NULL.
 * The memory of fp_open_memory must stay as it is until fp_close; it has to be aligned to 8 bytes. */
FP_API fp_status fp_open(const char* path, const fp_options* options, fp_network** network, fp_error* error);
FP_API fp_status fp_open_memory(const void* package, size_t bytes, const fp_options* options, fp_network** network,
                                fp_error* error);
/* Open the package inside this very library, as `codegen.build --format library` makes it. */
FP_API fp_status fp_open_own(const fp_options* options, fp_network** network, fp_error* error);
FP_API void fp_close(fp_network* network);

/* What the network takes and gives. Strings live as long as the handle. */
typedef struct fp_size {
  uint32_t height, width;
} fp_size;

typedef struct fp_output {
  const char* name;
  uint32_t channels, height, width; /* float32, row-major */
} fp_output;

FP_API uint32_t fp_size_count(const fp_network* network);
FP_API fp_size fp_size_at(const fp_network* network, uint32_t size);
FP_API uint32_t fp_input_channels(const fp_network* network);
FP_API uint32_t fp_output_count(const fp_network* network);
/* Zeros and a NULL name where there is no such size or output. */
FP_API fp_output fp_output_at(const fp_network* network, uint32_t size, uint32_t output);
/* The package's manifest: JSON, zero-terminated. */
FP_API const char* fp_manifest(const fp_network* network);
/* One line: the device and its driver. */
FP_API const char* fp_device(const fp_network* network);

/* One inference. input: (channels, height, width) float32 of the size numbered `size`; outputs: as many arrays as there
 * are outputs, each of channels x height x width float32; an array that is NULL is not fetched. */
FP_API fp_status fp_run(fp_network* network, uint32_t size, const float* input, float* const* outputs, fp_error* error);

/* A picture in memory. */
typedef enum fp_format {
  FP_RGB = 0,
  FP_BGR = 1,
  FP_RGBA = 2,
  FP_BGRA = 3,
  FP_GREY = 4,
  FP_YUV420 = 5 /* full-range BT.601 as cameras give it: planes Y, U, V; NV12, NV21 and I420 by strides */
} fp_format;

typedef struct fp_image {
  const uint8_t* planes[3]; /* interleaved formats: the first; FP_YUV420: Y, U and V */
  uint32_t row_bytes[3];    /* from row to row of each plane */
  uint32_t uv_step;         /* FP_YUV420: bytes from sample to sample of a row of U and V: 1, or 2 where interleaved */
  uint32_t width, height;   /* of the picture as it is stored */
  fp_format format;
  uint32_t turns; /* quarter turns clockwise that make it upright, 0 to 3, as of a camera's sensor */
} fp_image;

#define FP_KEYPOINTS 18

/* The order of keypoints: nose, neck, right shoulder, elbow, wrist, left shoulder, elbow, wrist, right hip, knee, ankle,
 * left hip, knee, ankle, right eye, left eye, right ear, left ear. */
typedef struct fp_keypoint {
  float x, y;  /* pixels of the upright picture, whole numbers at centres; NaN where not found */
  float score; /* 0 where not found */
} fp_keypoint;

typedef struct fp_person {
  fp_keypoint keypoints[FP_KEYPOINTS];
  float score;      /* larger for a surer person */
  int32_t identity; /* from 1, the same for the same person in all frames; 0: none yet, or no video */
} fp_person;

/* People in a picture, best first. people has room for `capacity`; *count is how many there are, of which the first
 * `capacity` are written. */
FP_API fp_status fp_people(fp_network* network, const fp_image* image, fp_person* people, uint32_t capacity,
                           uint32_t* count, fp_error* error);

/* People in the next frame of a video, with identities and steadied keypoints. secs: the frame's time, never going back.
 * fp_restart forgets who was there. */
FP_API fp_status fp_follow(fp_network* network, const fp_image* image, double secs, fp_person* people, uint32_t capacity,
                           uint32_t* count, fp_error* error);
FP_API void fp_restart(fp_network* network);

/* Times of the last inference, with FP_FLAG_EVENTS. */
typedef struct fp_time {
  const char* name; /* of the layer */
  double secs;      /* its kernels', by OpenCL events */
} fp_time;

/* Writes up to `capacity` times, in order; answers how many layers there are, 0 without FP_FLAG_EVENTS. */
FP_API uint32_t fp_times(fp_network* network, fp_time* times, uint32_t capacity);

/* What the self-check replaced: names of layers that run by their second kernel on this device. As fp_times. */
FP_API uint32_t fp_replaced(fp_network* network, const char** names, uint32_t capacity);

#ifdef __cplusplus
}
#endif

#endif
