// OpenCL C source to a built program, by way of the cache on disk.
#pragma once

#include <cstdint>
#include <string>

#include "device.h"

namespace fleetpose::opencl {

// Counts since the process started (or since ResetProgramStats).
struct ProgramStats {
  std::uint64_t hits = 0;      // built from a cached binary
  std::uint64_t misses = 0;    // no entry, or a note only
  std::uint64_t rejected = 0;  // an entry that was damaged, foreign, or that the driver refused
  std::uint64_t noted = 0;     // seen but a few times where asking for a binary is dear (PoCL): stored later
  std::uint64_t stored = 0;
  std::uint64_t not_stored = 0;  // e.g. the folder is not writable
  double build_secs = 0;         // in the driver's compiler, from source or from a binary
};
ProgramStats GetProgramStats();
void ResetProgramStats();

// Build `source` for `device`, with FLEETPOSE_OPENCL_OPTIONS as build options. `kernel` names it in errors.
// Throws OpenCLError with the code, the kernel's name and the build log.
cl_program BuildProgram(Device* device, const std::string& source, const std::string& kernel);

}  // namespace fleetpose::opencl
