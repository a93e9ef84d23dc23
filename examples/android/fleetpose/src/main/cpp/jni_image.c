#include "jni_image.h"

/* Bytes of a pixel of the interleaved formats; 0 for others. */
static int64_t pixel_bytes(jint format) {
  switch (format) {
    case FP_RGB:
    case FP_BGR: return 3;
    case FP_RGBA:
    case FP_BGRA: return 4;
    case FP_GREY: return 1;
    default: return 0;
  }
}

/* A plane's address, if the buffer is direct and has `rows` rows of `used` bytes, `row_bytes` apart; NULL otherwise.
 * The last row may end where its last sample does, as those of cameras often do. */
static const uint8_t* plane_of(JNIEnv* env, jobject buffer, int64_t rows, int64_t row_bytes, int64_t used) {
  if (buffer == NULL || row_bytes < used) return NULL;
  const uint8_t* address = (*env)->GetDirectBufferAddress(env, buffer);
  if (address == NULL || (*env)->GetDirectBufferCapacity(env, buffer) < (rows - 1) * row_bytes + used) return NULL;
  return address;
}

static const char* fill_interleaved(JNIEnv* env, const jint* facts, jobject first, fp_image* image) {
  const int64_t used = facts[PICTURE_WIDTH] * pixel_bytes(facts[PICTURE_FORMAT]);
  image->planes[0] = plane_of(env, first, facts[PICTURE_HEIGHT], facts[PICTURE_ROW_BYTES], used);
  image->row_bytes[0] = (uint32_t)facts[PICTURE_ROW_BYTES];
  return image->planes[0] != NULL ? NULL : "the picture's buffer is not direct, or too short for its size";
}

static const char* fill_yuv(JNIEnv* env, const jint* facts, const jobject* buffers, fp_image* image) {
  const int64_t width = facts[PICTURE_WIDTH], height = facts[PICTURE_HEIGHT], step = facts[PICTURE_UV_STEP];
  if (step != 1 && step != 2) return "samples of U and V are 1 or 2 bytes apart";
  const int64_t half_width = (width + 1) / 2, half_height = (height + 1) / 2;
  const int64_t used = (half_width - 1) * step + 1, uv_row = facts[PICTURE_UV_ROW_BYTES];
  image->planes[0] = plane_of(env, buffers[0], height, facts[PICTURE_ROW_BYTES], width);
  image->planes[1] = plane_of(env, buffers[1], half_height, uv_row, used);
  image->planes[2] = plane_of(env, buffers[2], half_height, uv_row, used);
  image->row_bytes[0] = (uint32_t)facts[PICTURE_ROW_BYTES];
  image->row_bytes[1] = image->row_bytes[2] = (uint32_t)uv_row;
  image->uv_step = (uint32_t)step;
  if (image->planes[0] != NULL && image->planes[1] != NULL && image->planes[2] != NULL) return NULL;
  return "a plane's buffer is not direct, or too short for its size";
}

const char* image_of_buffers(JNIEnv* env, jintArray numbers, jobject first, jobject second, jobject third,
                             fp_image* image) {
  jint facts[PICTURE_FACTS];
  if (numbers == NULL || (*env)->GetArrayLength(env, numbers) < PICTURE_FACTS) return "the picture has no size";
  (*env)->GetIntArrayRegion(env, numbers, 0, PICTURE_FACTS, facts);
  if (facts[PICTURE_WIDTH] < 1 || facts[PICTURE_HEIGHT] < 1) return "the picture has no pixels";
  *image = (fp_image){.width = (uint32_t)facts[PICTURE_WIDTH],
                      .height = (uint32_t)facts[PICTURE_HEIGHT],
                      .format = (fp_format)facts[PICTURE_FORMAT],
                      .turns = (uint32_t)facts[PICTURE_TURNS] & 3u};
  if (facts[PICTURE_FORMAT] == FP_YUV420) return fill_yuv(env, facts, (const jobject[]){first, second, third}, image);
  if (pixel_bytes(facts[PICTURE_FORMAT]) == 0) return "the picture's format is unknown";
  return fill_interleaved(env, facts, first, image);
}
