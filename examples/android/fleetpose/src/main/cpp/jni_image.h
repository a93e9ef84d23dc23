/* Pictures of Kotlin as the runtime takes them: direct byte buffers, whose ends are checked before anything is read. */
#ifndef FLEETPOSE_JNI_IMAGE_H
#define FLEETPOSE_JNI_IMAGE_H

#include <jni.h>

#include "fleetpose.h"

/* What org.fleetpose.Picture says besides its buffers, in the order of its array. */
enum {
  PICTURE_FORMAT,
  PICTURE_WIDTH,
  PICTURE_HEIGHT,
  PICTURE_TURNS,
  PICTURE_ROW_BYTES,
  PICTURE_UV_ROW_BYTES,
  PICTURE_UV_STEP,
  PICTURE_FACTS
};

/* Fill `image` from up to three direct buffers. Answers NULL, or what is wrong with them. */
const char* image_of_buffers(JNIEnv* env, jintArray facts, jobject first, jobject second, jobject third,
                             fp_image* image);

#endif
