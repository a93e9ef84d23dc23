/* CRC-32 as zlib and PNG have it (polynomial 0xedb88320, reflected): the checksum of sections. */
#ifndef FLEETPOSE_CORE_CRC32_H
#define FLEETPOSE_CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct fp_crc32_table {
  uint32_t of[8][256]; /* of[k][b]: byte b followed by k zero bytes */
} fp_crc32_table;

void fp_crc32_prepare(fp_crc32_table* table);
uint32_t fp_crc32(const fp_crc32_table* table, const void* bytes, size_t size);

#endif
