/* Files as bytes: mapped, read whole, written whole. */
#ifndef FLEETPOSE_CORE_FILES_H
#define FLEETPOSE_CORE_FILES_H

#include <stddef.h>

#include "fleetpose.h"

/* Maps a regular file read-only. What is no file (a FIFO, a folder, a device) is refused, and nothing waits for it. */
fp_status fp_file_map(const char* path, const void** bytes, size_t* size, fp_error* error);
void fp_file_unmap(const void* bytes, size_t size);

/* The whole file in memory of malloc, or NULL where it cannot be read or is larger than `most`. */
void* fp_file_read(const char* path, size_t most, size_t* size);

/* Writes a file beside `path` and gives it that name, so that a reader sees the old one or the new one. 0 on failure. */
int fp_file_write(const char* path, const void* bytes, size_t size);

#endif
