/* Searching texts, such as names of devices and lists of extensions. */
#ifndef FLEETPOSE_CORE_TEXT_H
#define FLEETPOSE_CORE_TEXT_H

#include <stddef.h>

/* Whether the first `size` letters of `part` are somewhere in `text`; a to z equal A to Z. */
int fp_text_contains(const char* text, const char* part, size_t size);

/* Whether `word` is one of the words of `text`, which spaces part. */
int fp_text_has_word(const char* text, const char* word);

#endif
