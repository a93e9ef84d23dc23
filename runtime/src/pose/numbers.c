#include "pose/numbers.h"

#include "core/libc.h"

double fp_sum(const double* values, uint32_t count) {
  uint32_t at = 0;
  double sum = 0;
  if (count >= 8) {
    double part[8];
    for (; at < 8; ++at) part[at] = values[at];
    for (; at + 8 <= count; at += 8) {
      for (uint32_t lane = 0; lane < 8; ++lane) part[lane] += values[at + lane];
    }
    sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
  }
  for (; at < count; ++at) sum += values[at];
  return sum;
}

/* Four vectors side by side, which do not wait for each other. */
float fp_highest(const float* values, uint32_t count) {
  const fp_four start = {values[0], values[0], values[0], values[0]};
  fp_four one = start, two = start, three = start, four = start;
  uint32_t at = 0;
  for (; at + 16 <= count; at += 16) {
    one = fp_larger(*(const fp_four*)(values + at), one);
    two = fp_larger(*(const fp_four*)(values + at + 4), two);
    three = fp_larger(*(const fp_four*)(values + at + 8), three);
    four = fp_larger(*(const fp_four*)(values + at + 12), four);
  }
  four = fp_larger(fp_larger(one, two), fp_larger(three, four));
  float best = values[0];
  for (int lane = 0; lane < 4; ++lane) best = four[lane] > best ? four[lane] : best;
  for (; at < count; ++at) best = values[at] > best ? values[at] : best;
  return best;
}

enum { FP_SHORT_RUN = 12 };

/* By insertion, runs of FP_SHORT_RUN. */
static void sort_runs(const double* keys, uint32_t* order, uint32_t count) {
  for (uint32_t start = 0; start < count; start += FP_SHORT_RUN) {
    const uint32_t end = count - start < FP_SHORT_RUN ? count : start + FP_SHORT_RUN;
    for (uint32_t next = start + 1; next < end; ++next) {
      const uint32_t item = order[next];
      uint32_t at = next;
      for (; at > start && keys[order[at - 1]] < keys[item]; --at) order[at] = order[at - 1];
      order[at] = item;
    }
  }
}

static void merge(const double* keys, const uint32_t* from, uint32_t* to, uint32_t middle, uint32_t count) {
  uint32_t left = 0, right = middle;
  for (uint32_t at = 0; at < count; ++at) {
    const int take_right = left == middle || (right < count && keys[from[right]] > keys[from[left]]);
    to[at] = take_right ? from[right++] : from[left++];
  }
}

void fp_sort_falling(const double* keys, uint32_t* order, uint32_t* spare, uint32_t count) {
  sort_runs(keys, order, count);
  uint32_t *from = order, *to = spare;
  for (uint64_t run = FP_SHORT_RUN; run < count; run *= 2) {
    for (uint64_t start = 0; start < count; start += 2 * run) {
      const uint32_t length = count - start < 2 * run ? (uint32_t)(count - start) : (uint32_t)(2 * run);
      merge(keys, from + start, to + start, length < run ? length : (uint32_t)run, length);
    }
    uint32_t* const swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, count * sizeof(uint32_t));
}

void fp_rank_falling(const double* keys, uint32_t* order, uint32_t* spare, uint32_t count) {
  for (uint32_t at = 0; at < count; ++at) order[at] = at;
  fp_sort_falling(keys, order, spare, count);
}
