/* Rounding, sums and vectors that give the same numbers as NumPy and OpenCV do. */
#ifndef FLEETPOSE_POSE_NUMBERS_H
#define FLEETPOSE_POSE_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* Four float32 at any address. */
typedef float fp_four __attribute__((vector_size(16), aligned(4), may_alias));

typedef int32_t fp_mask __attribute__((vector_size(16)));

/* Of each pair of numbers the larger. */
static inline fp_four fp_larger(fp_four one, fp_four other) {
  const fp_mask first = (fp_mask)(one > other);
  return (fp_four)(((fp_mask)one & first) | ((fp_mask)other & ~first));
}

#define FP_NAN (__builtin_nanf(""))
#define FP_INFINITY (__builtin_inff())

static inline int fp_missing(double value) { return value != value; }

/* The nearest whole number, of two the even one; below 2^51. */
static inline double fp_round(double value) {
  const double shift = 6755399441055744.0; /* 1.5 x 2^52: its unit is 1 */
  return (value + shift) - shift;
}

/* The same of float32, below 2^22. */
static inline float fp_roundf(float value) {
  const float shift = 12582912.0f; /* 1.5 x 2^23 */
  return (value + shift) - shift;
}

/* The largest whole number that is not larger; below 2^31. */
static inline int32_t fp_floor(double value) {
  const int32_t whole = (int32_t)value;
  return whole - (whole > value);
}

static inline int32_t fp_floorf(float value) {
  const int32_t whole = (int32_t)value;
  return whole - ((float)whole > value);
}

static inline double fp_magnitude(double value) { return value < 0 ? -value : value; }

static inline uint32_t fp_least(uint32_t one, uint32_t other) { return one < other ? one : other; }

/* The sum of up to 128 numbers in NumPy's order: eight sums side by side. */
double fp_sum(const double* values, uint32_t count);

/* The largest of at least one number. */
float fp_highest(const float* values, uint32_t count);

/* Cubic convolution with a = -0.75, as OpenCV has it: weights of the cells -1, 0, 1, 2 for a place `at` beyond cell
 * 0. */
static inline void fp_cubic(float at, float* weights) {
  const float a = -0.75f, back = 1.0f - at, far = at + 1.0f;
  weights[0] = ((a * far - 5.0f * a) * far + 8.0f * a) * far - 4.0f * a;
  weights[1] = ((a + 2.0f) * at - (a + 3.0f)) * at * at + 1.0f;
  weights[2] = ((a + 2.0f) * back - (a + 3.0f)) * back * back + 1.0f;
  weights[3] = 1.0f - weights[0] - weights[1] - weights[2];
}

/* Writes to `order` the indices of `count` keys, so that keys fall; of equal ones the first comes first. */
void fp_rank_falling(const double* keys, uint32_t* order, uint32_t* spare, uint32_t count);

/* Reorders `order`, `count` indices of `keys`, so that keys fall; equal ones stay as they are. `spare` is as long. */
void fp_sort_falling(const double* keys, uint32_t* order, uint32_t* spare, uint32_t count);

#endif
