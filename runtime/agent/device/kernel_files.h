/* Files in which the kernel says numbers and names, such as those below /sys. */
#ifndef FLEETPOSE_AGENT_DEVICE_KERNEL_FILES_H
#define FLEETPOSE_AGENT_DEVICE_KERNEL_FILES_H

#include "agent/core/libc.h"

/* Tests have a folder of their own. */
#ifndef AGENT_SYS
#define AGENT_SYS "/sys"
#endif

enum { AGENT_LINE_BYTES = 512 };

/* The beginning of a file; 0 where it cannot be read. */
size_t agent_read_text(const char* path, char* text, size_t size);

/* The first line of a file, without what is blank at its end; answers whether there is one. */
int agent_read_line(const char* path, char line[AGENT_LINE_BYTES]);

/* A finite number (JSON has no others) at the beginning of a file; answers whether there is one. */
int agent_read_number(const char* path, double* value);

/* A number behind a word that begins a line, such as "MemAvailable:"; answers whether there is one. */
int agent_find_number(const char* text, const char* word, double* value);

#endif
