/* Brings pictures of every format, turn and some sizes to inputs, for sanitizers: planes have exactly the bytes they
 * need. Prints how many there were. */
#include <stdio.h>
#include <stdlib.h>

#include "pose/image/input.h"
#include "pose/image/rows.h"

static const uint32_t sides[] = {1, 2, 3, 5, 16, 33, 64, 90, 200};
static const uint32_t bytes_of[] = {3, 3, 4, 4, 1, 1};

static uint8_t* plane(size_t bytes) {
  uint8_t* memory = malloc(bytes);
  for (size_t at = 0; at < bytes; ++at) memory[at] = (uint8_t)(at * 37 + at / 11);
  return memory;
}

/* The last row ends with its last sample. */
static fp_image picture(fp_format format, uint32_t height, uint32_t width, uint32_t turns, uint32_t uv_step) {
  const uint32_t row = width * bytes_of[format] + 3, half_width = (width + 1) / 2, half_height = (height + 1) / 2;
  const uint32_t half_row = (half_width - 1) * uv_step + 1 + 2;
  fp_image image = {.width = width, .height = height, .format = format, .turns = turns, .uv_step = uv_step};
  image.row_bytes[0] = row;
  image.planes[0] = plane((size_t)row * height - 3);
  for (int at = 1; at < 3 && format == FP_YUV420; ++at) {
    image.row_bytes[at] = half_row;
    image.planes[at] = plane((size_t)half_row * half_height - 2);
  }
  return image;
}

static int fill(fp_resizer* resizer, const fp_image* image, fp_size size, int order) {
  fp_error error;
  const fp_preprocessing preprocessing = {order, order == FP_ORDER_GREY ? 1 : 3, {1, 2, 3}, 0.5f};
  const fp_placement placement = fp_place(fp_upright_size(image), size);
  float* input = malloc((size_t)preprocessing.channels * size.height * size.width * sizeof(float));
  const int filled = fp_check_image(image, &error) == FP_OK &&
                     fp_fill_input(resizer, image, &placement, &preprocessing, input, &error) == FP_OK;
  free(input);
  return filled;
}

int main(void) {
  const uint32_t count = sizeof(sides) / sizeof(sides[0]);
  const fp_size sizes[] = {{1, 1}, {8, 24}, {64, 48}};
  fp_resizer resizer = {0};
  uint32_t filled = 0;
  for (uint32_t at = 0; at < count * count * 6 * 4 * 2; ++at) {
    const fp_format format = (fp_format)(at / count / count % 6);
    fp_image image = picture(format, sides[at % count], sides[at / count % count], at / count / count / 6 % 4,
                             1 + at / count / count / 24);
    filled += (uint32_t)fill(&resizer, &image, sizes[at % 3], (int)(at / 2 % 3));
    for (int plane_at = 0; plane_at < 3; ++plane_at) free((void*)image.planes[plane_at]);
  }
  fp_resizer_free(&resizer);
  printf("%u\n", filled);
  return 0;
}
