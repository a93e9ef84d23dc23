#include "agent/modules/files.h"

#include "agent/modules/functions.h"
#include "core/error.h"
#include "core/files.h"
#include "core/folder.h"

/* Of all that a session has in its folder at a time. */
static const uint64_t kMostBytes = (uint64_t)1 << 30;
enum { MOST_NAME = 200, MOST_FILES = 1024 };

fp_status agent_path_of(const agent_session* session, const agent_value* values, int count, char path[1024],
                        fp_error* error) {
  char given[1024];
  if (count < 1 || !agent_value_text(&values[0], given, sizeof(given))) {
    return fp_fail(error, FP_BAD_ARGUMENT, "no name of a file");
  }
  const char* name = given;
  for (const char* letter = given; *letter != '\0'; ++letter) {
    if (*letter == '/') name = letter + 1;
  }
  if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(name) > MOST_NAME) {
    return fp_fail(error, FP_BAD_ARGUMENT, "%.100s is no name of a file", given);
  }
  const int length = snprintf(path, 1024, "%s/%s", session->folder, name);
  return length > 0 && length < 1024 ? FP_OK : fp_fail(error, FP_BAD_ARGUMENT, "%.100s is too long", given);
}

static uint64_t size_of(const char* path) {
  const int file = open(path, FP_O_RDONLY | FP_O_NONBLOCK | FP_O_CLOEXEC);
  if (file < 0) return 0;
  const long size = lseek(file, 0, FP_SEEK_END);
  close(file);
  return size > 0 ? (uint64_t)size : 0;
}

static int count_name(void* context, const char* name, int is_folder) {
  int* count = context;
  (void)name, (void)is_folder;
  return ++*count < MOST_FILES;
}

/* Whether a file at `path` would be one too many; not where it replaces another. */
static int is_one_too_many(const agent_session* session, const char* path) {
  int count = 0;
  if (access(path, FP_F_OK) == 0) return 0;
  fp_folder_list(session->folder, 0, count_name, &count);
  return count == MOST_FILES;
}

fp_status agent_upload(agent_session* session, agent_function* function, const agent_value* values, int count,
                       fp_error* error) {
  char path[1024];
  (void)function;
  const fp_status status = agent_path_of(session, values, count, path, error);
  if (status != FP_OK) return status;
  if (count < 2 || (values[1].type != AGENT_TYPE_BYTES && values[1].type != AGENT_TYPE_TEXT)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "upload takes a name and bytes");
  }
  if (is_one_too_many(session, path)) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a session may have %d files at a time; remove one first", MOST_FILES);
  }
  const uint64_t replaced = size_of(path),
                 kept = session->uploaded_bytes > replaced ? session->uploaded_bytes - replaced : 0;
  if (values[1].size > kMostBytes - kept) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a session may have files of %llu MiB in all; %llu bytes more do not fit",
                   (unsigned long long)kMostBytes >> 20, (unsigned long long)values[1].size);
  }
  if (!fp_file_write(path, values[1].bytes, values[1].size)) {
    return fp_fail(error, FP_FILE_ERROR, "cannot write %llu bytes to %.200s: is the disk full?",
                   (unsigned long long)values[1].size, path);
  }
  session->uploaded_bytes = kept + values[1].size;
  agent_call_none(&session->answer);
  return FP_OK;
}

fp_status agent_download(agent_session* session, agent_function* function, const agent_value* values, int count,
                         fp_error* error) {
  char path[1024];
  size_t size = 0;
  (void)function;
  const fp_status status = agent_path_of(session, values, count, path, error);
  if (status != FP_OK) return status;
  void* bytes = fp_file_read(path, kMostBytes, &size);
  const int is_empty = bytes == NULL && access(path, FP_F_OK) == 0 && size_of(path) == 0;
  if (bytes == NULL && !is_empty) return fp_fail(error, FP_FILE_ERROR, "cannot read %.200s", path);
  agent_call_bytes(&session->answer, bytes, size);
  free(bytes);
  return FP_OK;
}

fp_status agent_remove(agent_session* session, agent_function* function, const agent_value* values, int count,
                       fp_error* error) {
  char path[1024];
  (void)function;
  const fp_status status = agent_path_of(session, values, count, path, error);
  if (status != FP_OK) return status;
  const uint64_t size = size_of(path);
  if (unlink(path) == 0) session->uploaded_bytes -= size < session->uploaded_bytes ? size : session->uploaded_bytes;
  agent_call_none(&session->answer);
  return FP_OK;
}

static int add_name(void* context, const char* name, int is_folder) {
  agent_bytes* names = context;
  (void)is_folder;
  if (names->size > 0) agent_bytes_add(names, ",", 1);
  agent_bytes_add(names, name, strlen(name));
  return 1;
}

fp_status agent_list(agent_session* session, agent_function* function, const agent_value* values, int count,
                     fp_error* error) {
  agent_bytes names = {0};
  (void)function, (void)values, (void)count;
  fp_folder_list(session->folder, 0, add_name, &names);
  return agent_give_text(session, &names, error);
}

fp_status agent_workpath(agent_session* session, agent_function* function, const agent_value* values, int count,
                         fp_error* error) {
  char path[1024];
  (void)function;
  const fp_status status = agent_path_of(session, values, count, path, error);
  if (status == FP_OK) agent_call_text(&session->answer, path, strlen(path));
  return status;
}
