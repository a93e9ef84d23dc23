/* The few functions of libc and libdl that the runtime calls, by prototypes of its own.
 *
 * The runtime is compiled for Android without an NDK, so it includes the headers of a freestanding compiler only. What is
 * declared here takes numbers and pointers, which every libc takes alike: no FILE, no struct stat, no pthread types.
 * tests/runtime_c compares the list with what the compiled objects ask for.
 */
#ifndef FLEETPOSE_CORE_LIBC_H
#define FLEETPOSE_CORE_LIBC_H

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(sizeof(size_t) == 8 && sizeof(long) == 8, "files, sizes and system calls are those of 64-bit Linux");

void* malloc(size_t size);
void* calloc(size_t count, size_t size);
void* realloc(void* memory, size_t size);
void free(void* memory);
char* getenv(const char* name);

void* memchr(const void* bytes, int value, size_t size);
int memcmp(const void* one, const void* other, size_t size);
void* memcpy(void* restrict to, const void* restrict from, size_t size);
void* memset(void* bytes, int value, size_t size);
int strcmp(const char* one, const char* other);
size_t strlen(const char* text);

int snprintf(char* restrict text, size_t size, const char* restrict format, ...);
int vsnprintf(char* restrict text, size_t size, const char* restrict format, va_list arguments);

double exp(double value);
double sqrt(double value);

int access(const char* path, int mode);
int close(int file);
long lseek(int file, long offset, int whence);
int mkdir(const char* path, unsigned mode);
void* mmap(void* address, size_t size, int protection, int flags, int file, long offset);
int munmap(void* address, size_t size);
int open(const char* path, int flags, ...);
long read(int file, void* bytes, size_t size);
int rename(const char* from, const char* to);
long syscall(long number, ...);
int unlink(const char* path);
int usleep(unsigned microseconds);
long write(int file, const void* bytes, size_t size);

void* dlopen(const char* path, int mode);
void* dlsym(void* library, const char* name);
char* dlerror(void);

/* Linux's values of what these are given; they are the same on x86-64 and arm64. */
enum {
  FP_O_RDONLY = 0,
  FP_O_WRONLY = 1,
  FP_O_CREAT = 0100,
  FP_O_EXCL = 0200,
  FP_O_NONBLOCK = 04000,
  FP_O_CLOEXEC = 02000000,
  FP_SEEK_SET = 0,
  FP_SEEK_END = 2,
  FP_PROT_READ = 1,
  FP_MAP_PRIVATE = 2,
  FP_F_OK = 0,
  FP_RTLD_NOW = 2
};

/* A system call whose libc function takes structures, or that has none. */
#if defined(__x86_64__)
enum { FP_SYS_FUTEX = 202, FP_SYS_GETPID = 39, FP_SYS_LIST_FOLDER = 217 };
enum { FP_O_DIRECTORY = 0200000, FP_O_NO_FOLLOW = 0400000 };
#elif defined(__aarch64__)
enum { FP_SYS_FUTEX = 98, FP_SYS_GETPID = 172, FP_SYS_LIST_FOLDER = 61 };
enum { FP_O_DIRECTORY = 040000, FP_O_NO_FOLLOW = 0100000 };
#else
#error "numbers of system calls are known for x86-64 and arm64"
#endif

#endif
