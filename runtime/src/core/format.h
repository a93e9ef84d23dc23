/* The package format (.fpk), version 1: what docs/package-format.md says in words.
 *
 * Little-endian. A header, a table of sections, and the sections; every record is made of 4- and 8-byte numbers that lie
 * at multiples of their size, so that a mapped file is read as it is. codegen/packaging writes it.
 */
#ifndef FLEETPOSE_FORMAT_H
#define FLEETPOSE_FORMAT_H

#include <stdint.h>

#define FPK_MAGIC "\x89" "FPK\r\n\x1a\n" /* 8 bytes: a copy that changed line ends or lost bit 7 is noticed */
#define FPK_VERSION 1u
#define FPK_ALIGNMENT 64u            /* of sections and of constants */
#define FPK_WEIGHTS_ALIGNMENT 16384u /* of the section of weights: the largest page of the phones there are */
#define FPK_BUFFER_ALIGNMENT 4096u   /* of buffers in the arena: no device wants sub-buffers coarser */

typedef struct fpk_header {
  char magic[8];
  uint32_t version;
  uint32_t section_count;
  uint64_t bytes;     /* of the whole file */
  uint32_t table_crc; /* CRC-32 (as in zlib) of the table of sections */
  uint32_t reserved;  /* 0 */
} fpk_header;

/* The kinds of sections. The first 14 are there once, those that are empty too; readers skip kinds they do not know. */
enum {
  FPK_STRINGS = 1,    /* UTF-8, each zero-terminated; others name a string by its offset; offset 0 is "" */
  FPK_MANIFEST = 2,   /* JSON, zero-terminated */
  FPK_SETTINGS = 3,   /* fpk_setting: constants of preprocessing, decoding, tracking, and what it was built for */
  FPK_SOURCES = 4,    /* OpenCL C */
  FPK_KERNELS = 5,    /* fpk_kernel */
  FPK_CONSTANTS = 6,  /* fpk_constant */
  FPK_WEIGHTS = 7,    /* the constants' bytes */
  FPK_ENTRIES = 8,    /* fpk_entry: one for each input size */
  FPK_OUTPUTS = 9,    /* fpk_output */
  FPK_BUFFERS = 10,   /* fpk_buffer */
  FPK_STEPS = 11,     /* fpk_step: layers, in order */
  FPK_LAUNCHES = 12,  /* fpk_launch */
  FPK_ARGUMENTS = 13, /* fpk_argument */
  FPK_CHECKS = 14,    /* fpk_check: values that steps should compute from the checking input */
  FPK_SECTION_KINDS = 14,
  FPK_FUNCTIONS = 15, /* fpk_function; the section may be missing */
  FPK_KNOWN_KINDS = 15
};

typedef struct fpk_section {
  uint32_t kind;
  uint32_t crc;    /* CRC-32 (as in zlib) of the section */
  uint64_t offset; /* from the start of the file */
  uint64_t bytes;
  uint64_t reserved; /* 0 */
} fpk_section;

/* A constant by name. Numbers are float64; texts are strings. */
typedef struct fpk_setting {
  uint32_t name;
  uint32_t text; /* a string; not read where `is_text` is 0 */
  uint32_t is_text;
  uint32_t reserved;
  double number;
} fpk_setting;

/* A kernel: its program is a preamble, which kernels share, and a body. */
typedef struct fpk_kernel {
  uint32_t name;
  uint32_t preamble, preamble_bytes; /* in the sources */
  uint32_t body, body_bytes;
  uint32_t arguments; /* how many it takes */
} fpk_kernel;

enum { FPK_FLOAT32 = 0, FPK_FLOAT16 = 1, FPK_INT32 = 2, FPK_INT16 = 3, FPK_INT8 = 4, FPK_UINT8 = 5 };

typedef struct fpk_constant {
  uint64_t offset, bytes; /* in the weights */
  uint32_t dtype;
  uint32_t image_width, image_height; /* in texels of four values: it is an image2d array of one layer; 0: a buffer */
  uint32_t name;
} fpk_constant;

typedef struct fpk_buffer {
  uint64_t offset, bytes; /* in the arena */
} fpk_buffer;

/* A network at one input size. Its buffers are numbered from 0, from `first_buffer` on in their section. */
typedef struct fpk_entry {
  uint32_t channels, height, width;
  uint32_t input; /* the buffer of the float32 input */
  uint32_t first_output, output_count;
  uint32_t first_buffer, buffer_count;
  uint32_t first_step, step_count;
  uint64_t arena_bytes;
} fpk_entry;

typedef struct fpk_output {
  uint32_t name;
  uint32_t buffer; /* of the entry: float32, dense */
  uint32_t channels, height, width;
  uint32_t reserved;
} fpk_output;

/* What makes a layer's tensor: launches in order. Where the device computes them wrongly the spare ones run instead. */
typedef struct fpk_step {
  uint32_t name; /* of the layer */
  uint32_t kind; /* of its schedule, a string */
  uint32_t first_launch, launch_count;
  uint32_t first_spare, spare_count; /* launches; none: 0, 0 */
  uint32_t first_check, check_count;
} fpk_step;

typedef struct fpk_launch {
  uint32_t kernel;
  uint32_t first_argument;      /* as many follow as the kernel takes */
  uint32_t dimensions;          /* 1 to 3 */
  uint32_t global[3], local[3]; /* work-items; 1 beyond the dimensions */
  uint32_t reserved;
} fpk_launch;

/* Launches on buffers that the caller brings: single layers, as they are timed. Its buffers are numbered from 0, from
 * `first_buffer` on in their section. The first `parameter_count` are the caller's; their records say how many bytes they
 * have at least, at offset 0. The others are memory that the launches hand to each other. */
typedef struct fpk_function {
  uint32_t name;
  uint32_t parameter_count;
  uint32_t first_buffer, buffer_count;
  uint32_t first_launch, launch_count;
  uint64_t arena_bytes;
} fpk_function;

enum { FPK_ARGUMENT_BUFFER = 0, FPK_ARGUMENT_CONSTANT = 1 };

typedef struct fpk_argument {
  uint32_t kind;
  uint32_t index; /* of the entry's buffers, or of all constants */
} fpk_argument;

/* After a step, element `element` of a buffer of `dtype` is `value`, but for `tolerance`. */
typedef struct fpk_check {
  uint32_t buffer;
  uint32_t dtype;
  uint64_t element;
  float value, tolerance;
} fpk_check;

#endif
