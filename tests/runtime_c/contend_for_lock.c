/* Threads that count under the lock of the runtime: no count is lost, and ThreadSanitizer sees no race. */
#include <pthread.h>
#include <stdio.h>

#include "core/lock.h"

enum { THREADS = 4, COUNTS = 50000 };

static fp_lock lock;
static long total; /* plain: the lock alone orders what is done to it */

static void* count(void* unused) {
  (void)unused;
  for (int i = 0; i < COUNTS; ++i) {
    fp_lock_take(&lock);
    ++total;
    fp_lock_release(&lock);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    if (pthread_create(&threads[i], NULL, count, NULL) != 0) return 2;
  }
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  printf("%ld of %ld\n", total, (long)THREADS * COUNTS);
  return total == (long)THREADS * COUNTS ? 0 : 1;
}
