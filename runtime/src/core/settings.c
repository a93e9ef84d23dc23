#include "core/settings.h"

#include "core/libc.h"

static const fpk_setting* find(const fp_settings* settings, const char* name, int is_text) {
  for (uint32_t i = 0; i < settings->count; ++i) {
    const fpk_setting* item = &settings->items[i];
    if ((item->is_text != 0) == is_text && strcmp(settings->strings + item->name, name) == 0) return item;
  }
  return NULL;
}

double fp_setting_number(const fp_settings* settings, const char* name, double fallback) {
  const fpk_setting* item = find(settings, name, 0);
  return item != NULL ? item->number : fallback;
}

const char* fp_setting_text(const fp_settings* settings, const char* name, const char* fallback) {
  const fpk_setting* item = find(settings, name, 1);
  return item != NULL ? settings->strings + item->text : fallback;
}
