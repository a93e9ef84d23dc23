#include "core/crc32.h"

void fp_crc32_prepare(fp_crc32_table* table) {
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    table->of[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (int k = 1; k < 8; ++k) {
      const uint32_t before = table->of[k - 1][byte];
      table->of[k][byte] = before >> 8 ^ table->of[0][before & 255];
    }
  }
}

/* Eight bytes at a time (M. Kounavis and F. Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC
 * Generation", 2008): the weights of a network are tens of megabytes. */
uint32_t fp_crc32(const fp_crc32_table* table, const void* bytes, size_t size) {
  const uint8_t* at = bytes;
  uint32_t crc = 0xffffffffu;
  for (; size >= 8; size -= 8, at += 8) {
    crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    crc = table->of[7][crc & 255] ^ table->of[6][crc >> 8 & 255] ^ table->of[5][crc >> 16 & 255] ^
          table->of[4][crc >> 24] ^ table->of[3][at[4]] ^ table->of[2][at[5]] ^ table->of[1][at[6]] ^
          table->of[0][at[7]];
  }
  for (; size > 0; --size, ++at) crc = crc >> 8 ^ table->of[0][(crc ^ *at) & 255];
  return ~crc;
}
