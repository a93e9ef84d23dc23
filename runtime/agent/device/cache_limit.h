/* The folder of compiled kernels within a number of bytes: what was used longest ago goes first.
 *
 * Several sessions write to it at once, and none waits for another: each looks at the folder after its first write, and
 * again whenever it has written an eighth of the limit, so that the folder exceeds it by at most that much for each
 * session. Every file is counted in whole pages, as disks keep it. Nothing is removed but regular files of the cache's
 * own names, and what a killed process left half written; a file that another session has removed meanwhile is gone.
 */
#ifndef FLEETPOSE_AGENT_DEVICE_CACHE_LIMIT_H
#define FLEETPOSE_AGENT_DEVICE_CACHE_LIMIT_H

#include "agent/device/gpu.h"

/* A file's name: these around as many hexadecimal digits. */
#define AGENT_CACHE_PREFIX "kernel-"
#define AGENT_CACHE_SUFFIX ".bin"
enum { AGENT_CACHE_DIGITS = 40 };

/* Bytes that the folder may have, by a text of digits; 256 MiB where it is NULL, "" or no such number. */
uint64_t agent_cache_limit_read(const char* text);

/* Says that a file of `bytes` was written to the folder; it stays, whatever has to go. */
void agent_cache_limit_written(agent_gpu* gpu, const char* path, size_t bytes);

#endif
