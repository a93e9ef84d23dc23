#include "pose/image/rows.h"

#include "core/error.h"
#include "pose/image/placement.h"

static const uint32_t pixel_bytes[] = {
    [FP_RGB] = 3, [FP_BGR] = 3, [FP_RGBA] = 4, [FP_BGRA] = 4, [FP_GREY] = 1, [FP_YUV420] = 1};

static fp_status check_chroma(const fp_image* image, fp_error* error) {
  const uint32_t across = (image->width + 1) / 2;
  if (image->planes[1] == NULL || image->planes[2] == NULL) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a YUV420 picture has the planes Y, U and V; U or V is NULL");
  }
  if (image->uv_step != 1 && image->uv_step != 2) {
    return fp_fail(error, FP_BAD_ARGUMENT, "uv_step of a YUV420 picture is 1 or 2, not %u", image->uv_step);
  }
  const uint32_t needed = (across - 1) * image->uv_step + 1;
  if (image->row_bytes[1] < needed || image->row_bytes[2] < needed) {
    return fp_fail(error, FP_BAD_ARGUMENT, "rows of U and V of a picture %u wide have at least %u bytes, not %u and %u",
                   image->width, needed, image->row_bytes[1], image->row_bytes[2]);
  }
  return FP_OK;
}

fp_status fp_check_image(const fp_image* image, fp_error* error) {
  if (image == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "there is no picture: it is NULL");
  if ((uint32_t)image->format > FP_YUV420) {
    return fp_fail(error, FP_BAD_ARGUMENT, "there is no format of pictures with the number %u",
                   (uint32_t)image->format);
  }
  if (image->width - 1 >= FP_LONGEST_SIDE || image->height - 1 >= FP_LONGEST_SIDE) {
    return fp_fail(error, FP_BAD_ARGUMENT, "pictures have sides of 1 to %u pixels, not %u x %u", FP_LONGEST_SIDE,
                   image->width, image->height);
  }
  if (image->turns > 3) {
    return fp_fail(error, FP_BAD_ARGUMENT, "a picture is turned by 0 to 3 quarters, not %u", image->turns);
  }
  const uint32_t needed = image->width * pixel_bytes[image->format];
  if (image->planes[0] == NULL) return fp_fail(error, FP_BAD_ARGUMENT, "the picture's first plane is NULL");
  if (image->row_bytes[0] < needed) {
    return fp_fail(error, FP_BAD_ARGUMENT, "rows of a picture %u wide of this format have at least %u bytes, not %u",
                   image->width, needed, image->row_bytes[0]);
  }
  return image->format == FP_YUV420 ? check_chroma(image, error) : FP_OK;
}

fp_size fp_upright_size(const fp_image* image) {
  if (image->turns & 1) return (fp_size){image->width, image->height};
  return (fp_size){image->height, image->width};
}

/* Where an upright row starts in the picture as it is stored, and the step from pixel to pixel. */
typedef struct fp_walk {
  int32_t x, y, step_x, step_y;
} fp_walk;

static fp_walk walk_of(const fp_image* image, uint32_t row) {
  const int32_t at = (int32_t)row, right = (int32_t)image->width - 1, bottom = (int32_t)image->height - 1;
  switch (image->turns) {
    case 1:
      return (fp_walk){at, bottom, 0, -1};
    case 2:
      return (fp_walk){right, bottom - at, -1, 0};
    case 3:
      return (fp_walk){right - at, 0, 0, 1};
    default:
      return (fp_walk){0, at, 1, 0};
  }
}

/* From pixel to pixel of an interleaved format by `step` bytes; blue, green and red are at these bytes of a pixel. */
static inline void interleaved(const uint8_t* from, ptrdiff_t step, int blue, int green, int red, uint32_t width,
                               fp_four* pixels) {
  for (uint32_t at = 0; at < width; ++at, from += step) {
    pixels[at] = (fp_four){from[blue], from[green], from[red], 0};
  }
}

static float level(int32_t fixed) {
  const int32_t value = (fixed + (1 << 15)) >> 16;
  return (float)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void yuv(const fp_image* image, fp_walk walk, uint32_t width, fp_four* pixels) {
  for (uint32_t at = 0; at < width; ++at, walk.x += walk.step_x, walk.y += walk.step_y) {
    const size_t down = (size_t)walk.y / 2, across = (size_t)walk.x / 2 * image->uv_step;
    const int32_t y = image->planes[0][(size_t)walk.y * image->row_bytes[0] + (size_t)walk.x] * 65536;
    const int32_t u = image->planes[1][down * image->row_bytes[1] + across] - 128;
    const int32_t v = image->planes[2][down * image->row_bytes[2] + across] - 128;
    pixels[at] = (fp_four){level(y + 116130 * u), level(y - 22554 * u - 46802 * v), level(y + 91881 * v), 0};
  }
}

void fp_upright_row(const fp_image* image, uint32_t row, fp_four* pixels) {
  const uint32_t width = fp_upright_size(image).width, bytes = pixel_bytes[image->format];
  const fp_walk walk = walk_of(image, row);
  const ptrdiff_t row_bytes = (ptrdiff_t)image->row_bytes[0];
  const uint8_t* from = image->planes[0] + walk.y * row_bytes + walk.x * (ptrdiff_t)bytes;
  const ptrdiff_t step = walk.step_y * row_bytes + walk.step_x * (ptrdiff_t)bytes;
  switch (image->format) {
    case FP_RGB:
    case FP_RGBA:
      interleaved(from, step, 2, 1, 0, width, pixels);
      break;
    case FP_BGR:
    case FP_BGRA:
      interleaved(from, step, 0, 1, 2, width, pixels);
      break;
    case FP_GREY:
      interleaved(from, step, 0, 0, 0, width, pixels);
      break;
    case FP_YUV420:
      yuv(image, walk, width, pixels);
      break;
  }
}
