#include "core/lock.h"

#include "core/libc.h"

/* The three-state mutex of U. Drepper, "Futexes are tricky" (2011): free, held, held with threads that wait. */
enum { FREE = 0, HELD = 1, AWAITED = 2 };
enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };

void fp_lock_take(fp_lock* lock) {
  uint32_t seen = FREE;
  if (__atomic_compare_exchange_n(&lock->state, &seen, HELD, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
  while (__atomic_exchange_n(&lock->state, AWAITED, __ATOMIC_ACQUIRE) != FREE) {
    syscall(FP_SYS_FUTEX, &lock->state, (long)FUTEX_WAIT_PRIVATE, (long)AWAITED, NULL, NULL, 0L);
  }
}

void fp_lock_release(fp_lock* lock) {
  if (__atomic_exchange_n(&lock->state, FREE, __ATOMIC_RELEASE) == AWAITED) {
    syscall(FP_SYS_FUTEX, &lock->state, (long)FUTEX_WAKE_PRIVATE, 1L, NULL, NULL, 0L);
  }
}
