/* The constants of a package, by name: of preprocessing, decoding and tracking, and what it was built for. */
#ifndef FLEETPOSE_CORE_SETTINGS_H
#define FLEETPOSE_CORE_SETTINGS_H

#include "core/format.h"

typedef struct fp_settings {
  const fpk_setting* items;
  uint32_t count;
  const char* strings; /* the package's section of strings */
} fp_settings;

/* The number or the text of that name; `fallback` where there is none, or one of the other kind. */
double fp_setting_number(const fp_settings* settings, const char* name, double fallback);
const char* fp_setting_text(const fp_settings* settings, const char* name, const char* fallback);

#endif
