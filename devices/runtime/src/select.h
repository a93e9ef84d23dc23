// Which OpenCL device is opencl(0)? Pure: knows names and indices, not OpenCL.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fleetpose::opencl {

struct Listed {
  std::size_t platform_index;  // as the ICD loader lists it
  std::string platform;
  std::size_t device_index;  // within its platform
  std::string device;
  bool gpu;
};

// The order in which `listed` become opencl(0), opencl(1), ...: the one that `selection` names first, then GPUs, then
// the rest, otherwise as listed. `selection` is "" or PLATFORM[:DEVICE]; each part is an index (all digits) or a
// case-insensitive part of the name; an empty part matches anything.
// Throws std::invalid_argument, listing what there is, when a selection matches nothing.
std::vector<std::size_t> Order(const std::vector<Listed>& listed, const std::string& selection);

}  // namespace fleetpose::opencl
