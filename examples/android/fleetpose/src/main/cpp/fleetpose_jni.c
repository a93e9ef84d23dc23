/* org.fleetpose.Native: a network of fleetpose.h as Kotlin reaches it.
 *
 * A handle is the address of a `session`, which has room for the people of a frame, so that a frame allocates nothing.
 * Kotlin's class Fleetpose sees to it that a handle is used by one thread at a time and not after it was closed.
 */
#include <jni.h>
#include <stdlib.h>
#include <string.h>

#include "fleetpose.h"
#include "jni_image.h"

/* What a person is in Kotlin's array of floats: x, y, score of each keypoint, the score, the identity. */
enum { PERSON_FLOATS = 3 * FP_KEYPOINTS + 2 };

typedef struct session {
  fp_network* network;
  uint32_t capacity;
  fp_person people[];
} session;

_Static_assert(sizeof(fp_person) == PERSON_FLOATS * sizeof(float), "a person is copied as floats");

static session* session_of(jlong handle) { return (session*)(intptr_t)handle; }

static void throw_error(JNIEnv* env, fp_status status, const char* text) {
  const jclass type = (*env)->FindClass(env, "org/fleetpose/FleetposeException");
  if (type == NULL) return; /* an exception is pending already */
  const jmethodID constructor = (*env)->GetMethodID(env, type, "<init>", "(ILjava/lang/String;)V");
  if (constructor == NULL) return;
  char plain[sizeof(((fp_error*)0)->text)]; /* Java wants valid UTF-8, and names of files may be anything */
  size_t length = 0;
  for (; text[length] != '\0' && length + 1 < sizeof(plain); ++length) {
    plain[length] = (unsigned char)text[length] < 0x80 ? text[length] : '?';
  }
  plain[length] = '\0';
  const jstring message = (*env)->NewStringUTF(env, plain);
  if (message == NULL) return;
  const jobject thrown = (*env)->NewObject(env, type, constructor, (jint)status, message);
  if (thrown != NULL) (*env)->Throw(env, (jthrowable)thrown);
}

static const char* chars_of(JNIEnv* env, jstring text) {
  return text != NULL ? (*env)->GetStringUTFChars(env, text, NULL) : NULL;
}

static void release_chars(JNIEnv* env, jstring text, const char* chars) {
  if (chars != NULL) (*env)->ReleaseStringUTFChars(env, text, chars);
}

JNIEXPORT jlong JNICALL Java_org_fleetpose_Native_open(JNIEnv* env, jclass type, jstring package, jstring cache,
                                                       jstring library, jstring device, jint flags, jint capacity) {
  (void)type;
  session* opened = capacity > 0 ? calloc(1, sizeof(session) + (size_t)capacity * sizeof(fp_person)) : NULL;
  if (opened == NULL) {
    throw_error(env, FP_NO_MEMORY, "no memory for so many people");
    return 0;
  }
  opened->capacity = (uint32_t)capacity;
  const char *path = chars_of(env, package), *folder = chars_of(env, cache);
  const char *opencl = chars_of(env, library), *which = chars_of(env, device);
  const fp_options options = {sizeof(fp_options), (uint32_t)flags, opencl, which, folder};
  fp_error error;
  const fp_status status = path != NULL ? fp_open(path, &options, &opened->network, &error)
                                        : fp_open_own(&options, &opened->network, &error);
  release_chars(env, package, path);
  release_chars(env, cache, folder);
  release_chars(env, library, opencl);
  release_chars(env, device, which);
  if (status == FP_OK) return (jlong)(intptr_t)opened;
  free(opened);
  throw_error(env, status, error.text);
  return 0;
}

JNIEXPORT void JNICALL Java_org_fleetpose_Native_close(JNIEnv* env, jclass type, jlong handle) {
  (void)env, (void)type;
  fp_close(session_of(handle)->network);
  free(session_of(handle));
}

/* The people of a picture, or with secs >= 0 of a video's frame, into an array of PERSON_FLOATS for each.
 * Answers how many are in the array. */
JNIEXPORT jint JNICALL Java_org_fleetpose_Native_people(JNIEnv* env, jclass type, jlong handle, jintArray facts,
                                                        jobject first, jobject second, jobject third, jdouble secs,
                                                        jfloatArray results) {
  (void)type;
  session* session = session_of(handle);
  fp_image image;
  const char* wrong = image_of_buffers(env, facts, first, second, third, &image);
  if (wrong != NULL) {
    throw_error(env, FP_BAD_ARGUMENT, wrong);
    return 0;
  }
  uint32_t count = 0, room = (uint32_t)(*env)->GetArrayLength(env, results) / PERSON_FLOATS;
  if (room > session->capacity) room = session->capacity;
  fp_error error;
  const fp_status status = secs >= 0
                               ? fp_follow(session->network, &image, secs, session->people, room, &count, &error)
                               : fp_people(session->network, &image, session->people, room, &count, &error);
  if (status != FP_OK) {
    throw_error(env, status, error.text);
    return 0;
  }
  if (count > room) count = room;
  float row[PERSON_FLOATS];
  for (uint32_t at = 0; at < count; ++at) {
    memcpy(row, &session->people[at], sizeof(row));
    row[PERSON_FLOATS - 1] = (float)session->people[at].identity; /* whole numbers are exact up to 2^24 */
    (*env)->SetFloatArrayRegion(env, results, (jsize)(at * PERSON_FLOATS), PERSON_FLOATS, row);
  }
  return (jint)count;
}

JNIEXPORT void JNICALL Java_org_fleetpose_Native_restart(JNIEnv* env, jclass type, jlong handle) {
  (void)env, (void)type;
  fp_restart(session_of(handle)->network);
}

JNIEXPORT jstring JNICALL Java_org_fleetpose_Native_device(JNIEnv* env, jclass type, jlong handle) {
  (void)type;
  return (*env)->NewStringUTF(env, fp_device(session_of(handle)->network));
}

JNIEXPORT jstring JNICALL Java_org_fleetpose_Native_manifest(JNIEnv* env, jclass type, jlong handle) {
  (void)type;
  return (*env)->NewStringUTF(env, fp_manifest(session_of(handle)->network));
}

/* Height and width of each input size, in turn. */
JNIEXPORT jintArray JNICALL Java_org_fleetpose_Native_sizes(JNIEnv* env, jclass type, jlong handle) {
  (void)type;
  const fp_network* network = session_of(handle)->network;
  const uint32_t count = fp_size_count(network);
  const jintArray sizes = (*env)->NewIntArray(env, (jsize)(2 * count));
  for (uint32_t at = 0; sizes != NULL && at < count; ++at) {
    const fp_size size = fp_size_at(network, at);
    const jint pair[] = {(jint)size.height, (jint)size.width};
    (*env)->SetIntArrayRegion(env, sizes, (jsize)(2 * at), 2, pair);
  }
  return sizes;
}

/* Names of the layers that run by their second kernel on this phone. */
JNIEXPORT jobjectArray JNICALL Java_org_fleetpose_Native_replaced(JNIEnv* env, jclass type, jlong handle) {
  (void)type;
  fp_network* network = session_of(handle)->network;
  const uint32_t count = fp_replaced(network, NULL, 0);
  const char** names = calloc((size_t)count + 1, sizeof(*names));
  const jclass text = (*env)->FindClass(env, "java/lang/String");
  const jobjectArray answer = text != NULL ? (*env)->NewObjectArray(env, (jsize)count, text, NULL) : NULL;
  if (names != NULL && answer != NULL) {
    fp_replaced(network, names, count);
    for (uint32_t at = 0; at < count; ++at) {
      const jstring name = (*env)->NewStringUTF(env, names[at] != NULL ? names[at] : "");
      (*env)->SetObjectArrayElement(env, answer, (jsize)at, name);
      (*env)->DeleteLocalRef(env, name);
    }
  }
  free(names);
  return answer;
}
