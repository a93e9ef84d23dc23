#include <stdexcept>

#include "check.h"
#include "select.h"

using fleetpose::opencl::Listed;
using fleetpose::opencl::Order;
using Indices = std::vector<std::size_t>;

namespace {

const std::vector<Listed> kListed = {
    {0, "Portable Computing Language", 0, "pthread-skylake", false},
    {1, "rusticl", 0, "llvmpipe (LLVM 15)", false},
    {2, "ARM Platform", 0, "Mali-G76 r0p0", true},
    {2, "ARM Platform", 1, "Mali-G76 r0p0 second", true},
};

std::string Refusal(const std::string& selection) {
  try {
    Order(kListed, selection);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace

int main() {
  CHECK(Order(kListed, "") == Indices{2, 3, 0, 1});          // GPUs first, otherwise as listed
  CHECK(Order(kListed, "portable") == Indices{0, 2, 3, 1});  // part of a name, any case; the rest keeps its order
  CHECK(Order(kListed, "RUSTICL") == Indices{1, 2, 3, 0});
  CHECK(Order(kListed, "2") == Indices{2, 3, 0, 1});    // digits are the platform's index ...
  CHECK(Order(kListed, "2:1") == Indices{3, 2, 0, 1});  // ... and the device's within it
  CHECK(Order(kListed, "arm:second") == Indices{3, 2, 0, 1});
  CHECK(Order(kListed, ":llvmpipe") == Indices{1, 2, 3, 0});  // an empty part matches anything
  CHECK(Order(kListed, "arm:") == Indices{2, 3, 0, 1});
  CHECK(Order({}, "").empty());

  for (const char* wrong : {"nvidia", "3", "0:1", "arm:llvmpipe", "mali", "rusticl:15x"}) {
    const std::string text = Refusal(wrong);
    CHECK(text.find(std::string("FLEETPOSE_OPENCL_DEVICE=") + wrong) != std::string::npos);
    for (const Listed& one : kListed) CHECK(text.find(one.device) != std::string::npos);
  }
  CHECK_THROWS(std::invalid_argument, Order({}, "anything"));
  return check::Finish();
}
