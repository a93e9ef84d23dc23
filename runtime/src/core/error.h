/* Failures as values: a status, and one line of text where the caller wants it. */
#ifndef FLEETPOSE_CORE_ERROR_H
#define FLEETPOSE_CORE_ERROR_H

#include "fleetpose.h"

/* Writes the error, formatted as printf does, and answers its status. `error` may be NULL. Characters that would break
 * the line become spaces. */
__attribute__((format(printf, 3, 4))) fp_status fp_fail(fp_error* error, fp_status status, const char* format, ...);

/* Writes that there is no error, and answers FP_OK. */
fp_status fp_succeed(fp_error* error);

#endif
