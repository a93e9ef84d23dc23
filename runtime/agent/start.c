/* Where Android's loader begins: the agent is linked there without the NDK's objects, which would bring this.
 *
 * bionic starts a program by __libc_init. Under an emulator with glibc's libraries in the places of bionic's it is
 * __libc_start_main. Each is there in its own library alone.
 */
#ifdef FLEETPOSE_AGENT_OWN_START

int main(int count, char** words);

__attribute__((weak)) void __libc_init(void* arguments, void (*on_exit)(void), int (*run)(int, char**, char**),
                                       const void* structors);
__attribute__((weak)) int __libc_start_main(int (*run)(int, char**, char**), int count, char** words, void* init,
                                            void* fini, void* loader_fini, void* stack_end);

static int run(int count, char** words, char** environment) {
  (void)environment;
  return main(count, words);
}

/* arguments: the stack as the kernel fills it: a count, that many words, and a zero. */
__attribute__((used)) void agent_start(void** arguments) {
  static const void* const structors[6]; /* none: the loader has called them */
  if (__libc_init != 0) __libc_init(arguments, 0, run, structors);
  __libc_start_main(run, (int)(long)arguments[0], (char**)(arguments + 1), 0, 0, 0, arguments);
}

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x0, sp\n"
    "  b agent_start\n");

#endif
