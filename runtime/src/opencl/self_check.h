/* Whether the kernels of an entry compute on this device what the package says that they should. */
#ifndef FLEETPOSE_OPENCL_SELF_CHECK_H
#define FLEETPOSE_OPENCL_SELF_CHECK_H

#include "opencl/session.h"

typedef enum fp_verdict {
  FP_VERDICT_RIGHT = 0,
  FP_VERDICT_WRONG = 1,   /* a value is another one */
  FP_VERDICT_REFUSED = 2, /* the driver does not compile or launch it */
  FP_VERDICT_HUNG = 3     /* not finished in time: the session has to be abandoned */
} fp_verdict;

typedef struct fp_finding {
  fp_verdict verdict;
  uint32_t step;  /* that is not right */
  char text[240]; /* what is wrong with it */
} fp_finding;

/* Makes each step of the entry, runs it on the checking input and compares what it computed, up to the first step that is
 * not right. Without `compares` steps are only made. Answers a status other than FP_OK for failures that are no step's. */
fp_status fp_self_check(fp_session* session, uint32_t entry, int compares, fp_finding* finding, fp_error* error);

/* Element `index` of the checking input: from -0.5 on to below 0.5, and the same on every machine. */
float fp_self_check_input(uint32_t index);

#endif
