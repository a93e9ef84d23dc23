// Where libOpenCL is looked for, in this order: by the C runtime and by devices/runtime's backend for TVM.
#pragma once

// By the loader's own search.
#define FLEETPOSE_LIBOPENCL_NAMES(X) \
  X("libOpenCL.so.1")                \
  X("libOpenCL.so")

#if defined(__LP64__)
#define FLEETPOSE_LIB_FOLDER "lib64"
#else
#define FLEETPOSE_LIB_FOLDER "lib"
#endif

// Where vendors of phones put it, under its own name or inside a driver.
#define FLEETPOSE_LIBOPENCL_PATHS(X)                               \
  X("/vendor/" FLEETPOSE_LIB_FOLDER "/libOpenCL.so")               \
  X("/system/vendor/" FLEETPOSE_LIB_FOLDER "/libOpenCL.so")        \
  X("/system/" FLEETPOSE_LIB_FOLDER "/libOpenCL.so")               \
  X("/vendor/" FLEETPOSE_LIB_FOLDER "/egl/libGLES_mali.so")        \
  X("/system/vendor/" FLEETPOSE_LIB_FOLDER "/egl/libGLES_mali.so") \
  X("/vendor/" FLEETPOSE_LIB_FOLDER "/libOpenCL-pixel.so")         \
  X("/vendor/" FLEETPOSE_LIB_FOLDER "/libPVROCL.so")               \
  X("/vendor/" FLEETPOSE_LIB_FOLDER "/libOpenCL-car.so")
