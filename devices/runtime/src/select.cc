#include "select.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <stdexcept>

namespace fleetpose::opencl {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool AllDigits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool Matches(const std::string& part, std::size_t index, const std::string& name) {
  if (AllDigits(part)) return part == std::to_string(index);
  return Lower(name).find(Lower(part)) != std::string::npos;  // an empty part is found in every name
}

std::string Describe(const std::vector<Listed>& listed) {
  if (listed.empty()) return "\n  (no OpenCL device)";
  std::string text;
  for (const Listed& one : listed) {
    text += "\n  " + std::to_string(one.platform_index) + ":" + std::to_string(one.device_index) + "  " + one.platform +
            " : " + one.device;
  }
  return text;
}

}  // namespace

std::vector<std::size_t> Order(const std::vector<Listed>& listed, const std::string& selection) {
  std::vector<std::size_t> order(listed.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return listed[i].gpu; });
  if (selection.empty()) return order;

  const std::size_t colon = selection.find(':');
  const std::string platform = selection.substr(0, colon);
  const std::string device = colon == std::string::npos ? "" : selection.substr(colon + 1);
  const auto chosen = std::find_if(order.begin(), order.end(), [&](std::size_t i) {
    return Matches(platform, listed[i].platform_index, listed[i].platform) &&
           Matches(device, listed[i].device_index, listed[i].device);
  });
  if (chosen == order.end()) {
    throw std::invalid_argument(
        "FLEETPOSE_OPENCL_DEVICE=" + selection +
        " (PLATFORM[:DEVICE], each an index or part of a name) matches none of:" + Describe(listed));
  }
  std::rotate(order.begin(), chosen, chosen + 1);
  return order;
}

}  // namespace fleetpose::opencl
