/* The outside of a package: its header, its table, and sections that lie in it, whole and with the right checksums. */
#include "core/crc32.h"
#include "core/error.h"
#include "core/libc.h"
#include "core/package_checks.h"

enum { MOST_SECTIONS = 64 };

static const char* const kNames[FPK_KNOWN_KINDS + 1] = {
    "",        "strings", "manifest", "settings", "sources",  "kernels",   "constants", "weights",
    "entries", "outputs", "buffers",  "steps",    "launches", "arguments", "checks",    "functions"};

/* Bytes of a record of each kind; 1 where a section has none. */
static const uint8_t kRecordBytes[FPK_KNOWN_KINDS + 1] = {[FPK_STRINGS] = 1,
                                                          [FPK_MANIFEST] = 1,
                                                          [FPK_SETTINGS] = sizeof(fpk_setting),
                                                          [FPK_SOURCES] = 1,
                                                          [FPK_KERNELS] = sizeof(fpk_kernel),
                                                          [FPK_CONSTANTS] = sizeof(fpk_constant),
                                                          [FPK_WEIGHTS] = 1,
                                                          [FPK_ENTRIES] = sizeof(fpk_entry),
                                                          [FPK_OUTPUTS] = sizeof(fpk_output),
                                                          [FPK_BUFFERS] = sizeof(fpk_buffer),
                                                          [FPK_STEPS] = sizeof(fpk_step),
                                                          [FPK_LAUNCHES] = sizeof(fpk_launch),
                                                          [FPK_ARGUMENTS] = sizeof(fpk_argument),
                                                          [FPK_CHECKS] = sizeof(fpk_check),
                                                          [FPK_FUNCTIONS] = sizeof(fpk_function)};

/* The layout of a file must not depend on the compiler. */
_Static_assert(sizeof(fpk_header) == 32 && sizeof(fpk_section) == 32 && sizeof(fpk_setting) == 24, "format.h");
_Static_assert(sizeof(fpk_kernel) == 24 && sizeof(fpk_constant) == 32 && sizeof(fpk_buffer) == 16, "format.h");
_Static_assert(sizeof(fpk_entry) == 48 && sizeof(fpk_output) == 24 && sizeof(fpk_step) == 32, "format.h");
_Static_assert(sizeof(fpk_launch) == 40 && sizeof(fpk_argument) == 8 && sizeof(fpk_check) == 24, "format.h");
_Static_assert(sizeof(fpk_function) == 32, "format.h");

static fp_status check_header(const fp_package* package, const fp_crc32_table* table, fp_error* error) {
  if (package->size < sizeof(fpk_header)) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package is cut: %zu bytes are fewer than its header has", package->size);
  }
  const fpk_header* header = (const fpk_header*)package->bytes;
  if (memcmp(header->magic, FPK_MAGIC, sizeof(header->magic)) != 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "this is no fleetpose package: its first 8 bytes are others");
  }
  if (header->version != FPK_VERSION) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package has version %u of the format, this runtime reads version %u",
                   header->version, FPK_VERSION);
  }
  if (header->bytes != package->size) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package has %zu bytes, its header says %llu: it is cut or damaged",
                   package->size, (unsigned long long)header->bytes);
  }
  if (header->section_count > MOST_SECTIONS) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package's header says %u sections, more than %d", header->section_count,
                   MOST_SECTIONS);
  }
  const uint64_t table_bytes = (uint64_t)header->section_count * sizeof(fpk_section);
  if (!fp_is_within(sizeof(fpk_header), table_bytes, package->size)) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package's table of %u sections does not fit its %zu bytes",
                   header->section_count, package->size);
  }
  if (fp_crc32(table, package->bytes + sizeof(fpk_header), table_bytes) != header->table_crc) {
    return fp_fail(error, FP_BAD_PACKAGE, "the checksum of the package's table of sections is wrong: it is damaged");
  }
  if (header->reserved != 0) return fp_fail(error, FP_BAD_PACKAGE, "a reserved field of the package's header is not 0");
  return FP_OK;
}

static fp_status check_section(const fp_package* package, const fp_crc32_table* table, const fpk_section* section,
                               fp_error* error) {
  const char* name = section->kind <= FPK_KNOWN_KINDS ? kNames[section->kind] : "of an unknown kind";
  const uint64_t alignment = section->kind == FPK_WEIGHTS ? FPK_WEIGHTS_ALIGNMENT : FPK_ALIGNMENT;
  if (section->offset % alignment != 0) {
    return fp_fail(error, FP_BAD_PACKAGE, "section %s starts at byte %llu, no multiple of %llu", name,
                   (unsigned long long)section->offset, (unsigned long long)alignment);
  }
  if (!fp_is_within(section->offset, section->bytes, package->size)) {
    return fp_fail(error, FP_BAD_PACKAGE, "section %s of %llu bytes at byte %llu does not fit the package's %zu", name,
                   (unsigned long long)section->bytes, (unsigned long long)section->offset, package->size);
  }
  if (section->reserved != 0) return fp_fail(error, FP_BAD_PACKAGE, "a reserved field of section %s is not 0", name);
  if (fp_crc32(table, package->bytes + section->offset, section->bytes) != section->crc) {
    return fp_fail(error, FP_BAD_PACKAGE, "the checksum of section %s is wrong: the package is damaged", name);
  }
  if (section->kind > FPK_KNOWN_KINDS || section->kind == 0) return FP_OK;
  const uint32_t record = kRecordBytes[section->kind];
  if (section->bytes % record != 0 || section->bytes / record >= UINT32_MAX) {
    return fp_fail(error, FP_BAD_PACKAGE, "section %s has %llu bytes, no possible number of records of %u bytes", name,
                   (unsigned long long)section->bytes, record);
  }
  return FP_OK;
}

static void point_at_sections(fp_package* package, const fpk_section* const* sections) {
#define FP_BYTES(kind) (const void*)(package->bytes + sections[kind]->offset)
#define FP_COUNT(kind) (uint32_t)(sections[kind]->bytes / kRecordBytes[kind])
  package->strings = FP_BYTES(FPK_STRINGS), package->string_bytes = sections[FPK_STRINGS]->bytes;
  package->manifest = FP_BYTES(FPK_MANIFEST);
  package->settings.items = FP_BYTES(FPK_SETTINGS), package->settings.count = FP_COUNT(FPK_SETTINGS);
  package->settings.strings = package->strings;
  package->sources = FP_BYTES(FPK_SOURCES), package->source_bytes = sections[FPK_SOURCES]->bytes;
  package->kernels = FP_BYTES(FPK_KERNELS), package->kernel_count = FP_COUNT(FPK_KERNELS);
  package->constants = FP_BYTES(FPK_CONSTANTS), package->constant_count = FP_COUNT(FPK_CONSTANTS);
  package->weights = FP_BYTES(FPK_WEIGHTS), package->weight_bytes = sections[FPK_WEIGHTS]->bytes;
  package->entries = FP_BYTES(FPK_ENTRIES), package->entry_count = FP_COUNT(FPK_ENTRIES);
  package->outputs = FP_BYTES(FPK_OUTPUTS), package->output_count = FP_COUNT(FPK_OUTPUTS);
  package->buffers = FP_BYTES(FPK_BUFFERS), package->buffer_count = FP_COUNT(FPK_BUFFERS);
  package->steps = FP_BYTES(FPK_STEPS), package->step_count = FP_COUNT(FPK_STEPS);
  package->launches = FP_BYTES(FPK_LAUNCHES), package->launch_count = FP_COUNT(FPK_LAUNCHES);
  package->arguments = FP_BYTES(FPK_ARGUMENTS), package->argument_count = FP_COUNT(FPK_ARGUMENTS);
  package->checks = FP_BYTES(FPK_CHECKS), package->check_count = FP_COUNT(FPK_CHECKS);
  if (sections[FPK_FUNCTIONS] != NULL) {
    package->functions = FP_BYTES(FPK_FUNCTIONS), package->function_count = FP_COUNT(FPK_FUNCTIONS);
  }
#undef FP_BYTES
#undef FP_COUNT
}

/* The two sections that are texts end with their zero, wherever they are read from. */
static fp_status check_texts(const fpk_section* const* sections, const fp_package* package, fp_error* error) {
  const uint64_t manifest_bytes = sections[FPK_MANIFEST]->bytes;
  if (package->string_bytes == 0 || package->strings[0] != '\0' ||
      package->strings[package->string_bytes - 1] != '\0') {
    return fp_fail(error, FP_BAD_PACKAGE, "the package's strings do not begin and end with a zero byte");
  }
  const char* end = manifest_bytes > 0 ? memchr(package->manifest, '\0', manifest_bytes) : NULL;
  if (end == NULL || (uint64_t)(end - package->manifest) != manifest_bytes - 1) {
    return fp_fail(error, FP_BAD_PACKAGE, "the package's manifest is not one text that ends with a zero byte");
  }
  return FP_OK;
}

fp_status fp_check_sections(fp_package* package, fp_error* error) {
  fp_crc32_table table;
  fp_crc32_prepare(&table);
  fp_status status = check_header(package, &table, error);
  if (status != FP_OK) return status;
  const fpk_header* header = (const fpk_header*)package->bytes;
  const fpk_section* listed = (const fpk_section*)(package->bytes + sizeof(fpk_header));
  const fpk_section* sections[FPK_KNOWN_KINDS + 1] = {NULL};
  for (uint32_t i = 0; i < header->section_count; ++i) {
    status = check_section(package, &table, &listed[i], error);
    if (status != FP_OK) return status;
    const uint32_t kind = listed[i].kind;
    if (kind == 0 || kind > FPK_KNOWN_KINDS) continue;
    if (sections[kind] != NULL) return fp_fail(error, FP_BAD_PACKAGE, "section %s is there twice", kNames[kind]);
    sections[kind] = &listed[i];
  }
  for (uint32_t kind = 1; kind <= FPK_SECTION_KINDS; ++kind) {
    if (sections[kind] == NULL) return fp_fail(error, FP_BAD_PACKAGE, "the package has no section %s", kNames[kind]);
  }
  point_at_sections(package, sections);
  return check_texts(sections, package, error);
}
