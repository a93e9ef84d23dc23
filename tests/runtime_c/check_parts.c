/* Parts of the core by themselves: checksums against published vectors, the choice of a device, words, settings. */
#include <stdio.h>
#include <string.h>

#include "core/crc32.h"
#include "core/sha256.h"
#include "core/text.h"
#include "opencl/select.h"

#define EXPECT(condition) \
  if (!(condition)) printf("line %d: %s\n", __LINE__, #condition)

/* Whether the digest of `text`, taken `step` bytes at a time, begins with these digits. */
static int is_sha256(const char* text, size_t size, size_t step, const char* digits) {
  uint8_t digest[FP_DIGEST_BYTES];
  char hex[2 * FP_DIGEST_BYTES + 1];
  fp_sha256 hash;
  fp_sha256_start(&hash);
  for (size_t at = 0; at < size; at += step) fp_sha256_add(&hash, text + at, size - at < step ? size - at : step);
  fp_sha256_finish(&hash, digest);
  for (int i = 0; i < FP_DIGEST_BYTES; ++i) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return strcmp(hex, digits) == 0;
}

/* FIPS 180-4's examples, and a million letters. */
static void check_sha256(void) {
  static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  static char million[1000000];
  memset(million, 'a', sizeof(million));
  for (size_t step = 1; step <= 130; step += 43) {
    EXPECT(is_sha256("abc", 3, step, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    EXPECT(is_sha256("", 0, step, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    EXPECT(is_sha256(two_blocks, strlen(two_blocks), step,
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    EXPECT(
        is_sha256(million, sizeof(million), step, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
  }
}

static void check_crc32(void) {
  fp_crc32_table table;
  fp_crc32_prepare(&table);
  EXPECT(fp_crc32(&table, "123456789", 9) == 0xcbf43926u);
  EXPECT(fp_crc32(&table, "", 0) == 0 && fp_crc32(&table, "a", 1) == 0xe8b7be43u);
  EXPECT(fp_crc32(&table, "The quick brown fox jumps over the lazy dog", 43) == 0x414fa339u);
}

static void check_text(void) {
  EXPECT(fp_text_contains("ARM Mali-G76 r0p0", "mali", 4) && !fp_text_contains("Mali", "malis", 5));
  EXPECT(fp_text_contains("", "", 0) && fp_text_contains("x", "", 0) && !fp_text_contains("", "x", 1));
  EXPECT(fp_text_has_word("cl_khr_fp16 cl_khr_icd", "cl_khr_fp16") && fp_text_has_word("a  b", "b"));
  EXPECT(!fp_text_has_word("cl_khr_fp16_x x_cl_khr_fp16", "cl_khr_fp16") && !fp_text_has_word("", "a"));
}

static void check_selection(void) {
  const fp_listed devices[] = {{0, 0, "Portable Computing Language", "pthread-cpu", 0},
                               {0, 1, "Portable Computing Language", "basic", 0},
                               {1, 0, "ARM Platform", "Mali-G76", 1},
                               {12, 0, "QUALCOMM Snapdragon(TM)", "Adreno 730", 1}};
  const size_t count = sizeof(devices) / sizeof(devices[0]);
  EXPECT(fp_select_device(devices, count, "") == 2);
  EXPECT(fp_select_device(devices, 2, "") == 0 && fp_select_device(devices, 0, "") == -1);
  EXPECT(fp_select_device(devices, count, "0") == 0 && fp_select_device(devices, count, "0:1") == 1);
  EXPECT(fp_select_device(devices, count, "portable:BASIC") == 1 && fp_select_device(devices, count, ":basic") == 1);
  EXPECT(fp_select_device(devices, count, "1") == 2 && fp_select_device(devices, count, "12") == 3);
  EXPECT(fp_select_device(devices, count, "snapdragon:") == 3 && fp_select_device(devices, count, ":adreno") == 3);
  EXPECT(fp_select_device(devices, count, "2") == -1 && fp_select_device(devices, count, "arm:adreno") == -1);
  EXPECT(fp_select_device(devices, count, ":0") == 2 && fp_select_device(devices, count, "01") == -1);
}

int main(void) {
  check_sha256();
  check_crc32();
  check_text();
  check_selection();
  fflush(stdout);
  return 0;
}
