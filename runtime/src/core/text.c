#include "core/text.h"

#include "core/libc.h"

static char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter; }

int fp_text_contains(const char* text, const char* part, size_t size) {
  const size_t length = strlen(text);
  for (size_t start = 0; start + size <= length; ++start) {
    size_t same = 0;
    while (same < size && lower(text[start + same]) == lower(part[same])) ++same;
    if (same == size) return 1;
  }
  return 0;
}

int fp_text_has_word(const char* text, const char* word) {
  const size_t size = strlen(word);
  for (const char* start = text; *start != '\0'; ++start) {
    const int begins = start == text || start[-1] == ' ';
    if (!begins) continue;
    size_t same = 0;
    while (same < size && start[same] == word[same]) ++same;
    if (same == size && (start[size] == ' ' || start[size] == '\0')) return 1;
  }
  return 0;
}
