#include "core/files.h"

#include "core/error.h"
#include "core/libc.h"

/* The size of an open regular file, or -1. A pipe cannot seek; a folder or a device may say that it can. */
static long file_size(int file) {
  const long size = lseek(file, 0, FP_SEEK_END);
  return size >= 0 && size < LONG_MAX / 2 && lseek(file, 0, FP_SEEK_SET) == 0 ? size : -1;
}

/* Without waiting for the other end of a FIFO. */
static int open_to_read(const char* path) { return open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC); }

fp_status fp_file_map(const char* path, const void** bytes, size_t* size, fp_error* error) {
  const int file = open_to_read(path);
  if (file < 0) {
    const char* reason =
        access(path, FP_F_OK) == 0 ? "cannot be opened: no permission to read it" : "there is no such file";
    return fp_fail(error, FP_FILE_ERROR, "%.200s: %s", path, reason);
  }
  const long length = file_size(file);
  void* mapped = length > 0 ? mmap(NULL, (size_t)length, FP_PROT_READ, FP_MAP_PRIVATE, file, 0) : NULL;
  close(file);
  if (length == 0) return fp_fail(error, FP_BAD_PACKAGE, "%.200s: is empty", path);
  if (length < 0 || mapped == (void*)-1)
    return fp_fail(error, FP_FILE_ERROR, "%.200s: is no file that can be mapped", path);
  *bytes = mapped;
  *size = (size_t)length;
  return FP_OK;
}

void fp_file_unmap(const void* bytes, size_t size) { munmap((void*)(uintptr_t)bytes, size); }

static int read_all(int file, char* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const long count = read(file, bytes + done, size - done);
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

static int write_all(int file, const char* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const long count = write(file, bytes + done, size - done);
    if (count <= 0) return 0;
    done += (size_t)count;
  }
  return 1;
}

void* fp_file_read(const char* path, size_t most, size_t* size) {
  const int file = open_to_read(path);
  if (file < 0) return NULL;
  const long length = file_size(file);
  char* bytes = length > 0 && (size_t)length <= most ? malloc((size_t)length) : NULL;
  if (bytes != NULL && !read_all(file, bytes, (size_t)length)) {
    free(bytes);
    bytes = NULL;
  }
  close(file);
  *size = bytes != NULL ? (size_t)length : 0;
  return bytes;
}

int fp_file_write(const char* path, const void* bytes, size_t size) {
  char temporary[1100];
  /* The process and an address of this thread's stack: no two writers at a time have both in common. */
  const int length = snprintf(temporary, sizeof(temporary), "%s.%ld-%lx", path, syscall(FP_SYS_GETPID),
                              (unsigned long)(uintptr_t)temporary);
  if (length < 0 || (size_t)length >= sizeof(temporary)) return 0;
  unlink(temporary); /* of a killed process that had the same number */
  const int file = open(temporary, FP_O_WRONLY | FP_O_CREAT | FP_O_EXCL | FP_O_CLOEXEC, 0600);
  if (file < 0) return 0;
  const int written = write_all(file, bytes, size);
  const int closed = close(file) == 0;
  if (written && closed && rename(temporary, path) == 0) return 1;
  unlink(temporary);
  return 0;
}
