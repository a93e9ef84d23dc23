/* Opens a package with random bytes changed, as often as it is told: PACKAGE SEED COUNT.
 *
 * Half of the changed ones get right checksums, so that what lies behind those is tried, too. What opens is read as the
 * runtime reads it: every record and all that it refers to. The sanitizers end the program where that leaves the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "core/package.h"

static uint64_t state;

static uint32_t draw(uint32_t below) { /* xorshift64*, G. Marsaglia (2003) and S. Vigna (2016) */
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 2685821657736338717ull >> 32) % below);
}

/* Anywhere, or within one of the sections, most of which are small. */
static size_t draw_place(const uint8_t* whole, size_t size) {
  const fpk_header* header = (const fpk_header*)whole;
  const fpk_section* sections = (const fpk_section*)(whole + sizeof(*header));
  const fpk_section* section = &sections[draw(header->section_count)];
  const uint32_t way = draw(4);
  if (way == 0) return draw((uint32_t)size);
  if (way == 1) return draw(sizeof(*header) + header->section_count * sizeof(*section)) % size;
  return section->bytes > 0 ? (section->offset + draw((uint32_t)section->bytes)) % size : 0;
}

static void change(const uint8_t* whole, uint8_t* bytes, size_t size) {
  static const uint32_t special[] = {0, 1, 2, 3, 4, 63, 64, 255, 4096, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
  for (uint32_t changes = 1 + draw(4); changes > 0; --changes) {
    const size_t at = draw_place(whole, size);
    if (draw(3) == 0) {
      bytes[at] ^= (uint8_t)(1u << draw(8));
    } else {
      const uint32_t value = special[draw(sizeof(special) / sizeof(special[0]))];
      if ((at & ~(size_t)3) + 4 <= size) memcpy(bytes + (at & ~(size_t)3), &value, 4);
    }
  }
}

/* Makes the checksums right wherever sections lie in the file. */
static void seal(uint8_t* bytes, size_t size, const fp_crc32_table* table) {
  fpk_header* header = (fpk_header*)bytes;
  if (size < sizeof(*header) || header->section_count > (size - sizeof(*header)) / sizeof(fpk_section)) return;
  fpk_section* sections = (fpk_section*)(bytes + sizeof(*header));
  for (uint32_t i = 0; i < header->section_count; ++i) {
    fpk_section* section = &sections[i];
    if (section->offset > size || section->bytes > size - section->offset) continue;
    section->crc = fp_crc32(table, bytes + section->offset, section->bytes);
  }
  header->table_crc = fp_crc32(table, sections, header->section_count * sizeof(fpk_section));
}

static uint32_t sum(const void* bytes, size_t size) {
  uint32_t total = 0;
  for (size_t i = 0; i < size; ++i) total += ((const uint8_t*)bytes)[i];
  return total;
}

static uint32_t read_launches(const fp_package* package, uint32_t first, uint32_t count) {
  uint32_t total = 0;
  for (uint32_t i = first; i < first + count; ++i) {
    const fpk_launch* launch = &package->launches[i];
    const fpk_kernel* kernel = &package->kernels[launch->kernel];
    total += sum(package->sources + kernel->preamble, kernel->preamble_bytes);
    total += sum(package->sources + kernel->body, kernel->body_bytes);
    total += (uint32_t)strlen(fp_package_string(package, kernel->name)) + launch->global[0] / launch->local[0];
    for (uint32_t k = 0; k < kernel->arguments; ++k) {
      const fpk_argument* argument = &package->arguments[launch->first_argument + k];
      if (argument->kind != FPK_ARGUMENT_CONSTANT) continue;
      const fpk_constant* constant = &package->constants[argument->index];
      total += sum(package->weights + constant->offset, constant->bytes);
    }
  }
  return total;
}

static uint32_t read_everything(const fp_package* package) {
  uint32_t total = (uint32_t)strlen(package->manifest);
  for (uint32_t i = 0; i < package->settings.count; ++i) {
    const fpk_setting* setting = &package->settings.items[i];
    const char* name = fp_package_string(package, setting->name);
    total += (uint32_t)strlen(fp_setting_text(&package->settings, name, "")) + setting->is_text;
    total += fp_setting_number(&package->settings, name, 0) > 1;
  }
  for (uint32_t e = 0; e < package->entry_count; ++e) {
    const fpk_entry* entry = &package->entries[e];
    total += sum(&package->buffers[entry->first_buffer], entry->buffer_count * sizeof(fpk_buffer));
    for (uint32_t i = 0; i < entry->output_count; ++i) {
      const fpk_output* output = &package->outputs[entry->first_output + i];
      total += (uint32_t)strlen(fp_package_string(package, output->name)) + output->channels;
    }
    for (uint32_t i = 0; i < entry->step_count; ++i) {
      const fpk_step* step = &package->steps[entry->first_step + i];
      total += read_launches(package, step->first_launch, step->launch_count);
      total += read_launches(package, step->first_spare, step->spare_count);
      total += sum(&package->checks[step->first_check], step->check_count * sizeof(fpk_check));
      total += (uint32_t)strlen(fp_package_string(package, step->name));
    }
  }
  return total;
}

static int try_package(const uint8_t* bytes, size_t size, unsigned* opened) {
  uint8_t* copy = malloc(size > 0 ? size : 1); /* of exactly this size */
  memcpy(copy, bytes, size);
  fp_package package;
  fp_error error = {FP_OK, ""};
  const fp_status status = fp_package_open_memory(&package, copy, size, &error);
  int good = status == FP_OK || (status == FP_BAD_PACKAGE && error.status == status && error.text[0] != '\0' &&
                                 strchr(error.text, '\n') == NULL);
  if (!good) fprintf(stderr, "status %d, text '%s'\n", status, error.text);
  if (status == FP_OK) {
    ++*opened;
    volatile uint32_t kept = read_everything(&package);
    (void)kept;
    fp_package_close(&package);
  }
  free(copy);
  return good;
}

int main(int count, char** arguments) {
  if (count != 4) return 2;
  FILE* file = fopen(arguments[1], "rb");
  static uint8_t whole[1 << 20], changed[1 << 20];
  const size_t size = file != NULL ? fread(whole, 1, sizeof(whole), file) : 0;
  if (size == 0 || fclose(file) != 0) return 2;
  state = strtoull(arguments[2], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
  fp_crc32_table table;
  fp_crc32_prepare(&table);
  unsigned opened = 0;
  const long tries = strtol(arguments[3], NULL, 10);
  for (long i = 0; i < tries; ++i) {
    memcpy(changed, whole, size);
    const size_t kept = draw(8) == 0 ? draw((uint32_t)size) : size;
    if (kept > 0) change(whole, changed, kept);
    if (draw(2) == 0) {
      if (kept >= sizeof(fpk_header) && draw(2) == 0) ((fpk_header*)changed)->bytes = kept;
      seal(changed, kept, &table);
    }
    if (!try_package(changed, kept, &opened)) return 1;
  }
  printf("%ld tried, %u opened\n", tries, opened);
  return 0;
}
