// Only for tools/build_with_zig.py, which compiles with libc++'s headers and links libstdc++'s C++ runtime: the four
// functions that libc++'s archive expects of a C++ runtime and libstdc++.so.6 does not export.
#include <new>
#include <typeinfo>

namespace std {

bad_alloc::bad_alloc() noexcept {}
bad_array_new_length::bad_array_new_length() noexcept {}
bad_cast::bad_cast() noexcept {}

}  // namespace std

namespace {

struct Globals {  // Itanium C++ ABI, 2.2.2: __cxa_eh_globals
  void* caught;
  unsigned int uncaught;
};

}  // namespace

extern "C" {

Globals* __cxa_get_globals() noexcept;
unsigned int __cxa_uncaught_exceptions() noexcept { return __cxa_get_globals()->uncaught; }
}
