#include <random>

#include "check.h"
#include "serialize.h"

using namespace fleetpose::opencl;

namespace {

ModuleData Sample() {
  ModuleData module;
  module.format = "cl";
  module.kernels.push_back(
      {"b", "b", {{kDLOpaqueHandle, 64, 1}, {kDLInt, 32, 1}, {kDLFloat, 32, 4}}, {"blockIdx.x"}, {}});
  module.kernels.push_back({"a", "a", {}, {"threadIdx.x", "blockIdx.z"}, {0, 1, -1}});
  module.code = "#define N 4\n// Function: b\nB // Function: a is not here\n// Function: a\nA\n";
  return module;
}

void RoundTrip() {
  const std::string bytes = Serialize(Sample());
  const ModuleData again = Parse(bytes);
  CHECK(Serialize(again) == bytes);
  CHECK(again.format == "cl");
  CHECK(again.kernels.size() == 2);
  CHECK(again.kernels[0].key == "b");  // the order of writing, not of the alphabet
  CHECK(again.kernels[0].arg_types[2].lanes == 4);
  CHECK(again.kernels[1].launch_tags[1] == "blockIdx.z");
  CHECK(again.kernels[1].extra_tags[2] == -1);
  CHECK(Parse(Serialize({})).kernels.empty());
}

void ExactBytes() {
  const std::string bytes = Serialize({"cl", {{"k", "k", {{kDLFloat, 16, 2}}, {}, {7}}}, "x"});
  const auto u64 = [](char n) { return std::string(1, n) + std::string(7, '\0'); };
  CHECK(bytes == u64(2) + "cl" + u64(1) + u64(1) + "k" + u64(1) + "k" + u64(1) + std::string("\x02\x10\x02\x00", 4) +
                     u64(0) + u64(1) + std::string("\x07\0\0\0", 4) + u64(1) + "x");
}

void Malformed() {
  const std::string bytes = Serialize(Sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_THROWS(MalformedModule, Parse(std::string_view(bytes).substr(0, size)));
  }
  CHECK_THROWS(MalformedModule, Parse(bytes + '\0'));
  // A length of 2^64 - 1 must be refused, not added to an offset or allocated.
  std::string huge = bytes;
  huge.replace(0, 8, 8, '\xff');
  CHECK_THROWS(MalformedModule, Parse(huge));
  huge = bytes;
  huge.replace(10, 8, 8, '\xff');
  CHECK_THROWS(MalformedModule, Parse(huge));
}

// Whatever bytes come: an error or a module that saves to the same bytes, never a crash.
void Fuzz() {
  std::mt19937 random(7);
  const std::string bytes = Serialize(Sample());
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (int change = 0; change < 3; ++change) damaged[random() % damaged.size()] = static_cast<char>(random());
    try {
      const ModuleData module = Parse(damaged);
      if (Serialize(module) != damaged) CHECK(!"a parsed module saves to other bytes");
      SplitSource(module);
    } catch (const MalformedModule&) {
    }
  }
  CHECK(true);
}

void Sources() {
  const std::vector<std::string> parts = SplitSource(Sample());
  CHECK(parts.size() == 2);
  CHECK(parts[0] == "#define N 4\n// Function: b\nB // Function: a is not here\n");
  CHECK(parts[1] == "#define N 4\n// Function: a\nA\n");
  const std::string declared =
      "// Function: k\n__kernel void k(int x);\n__kernel void other(int x);\n__kernel void k(int x) {\n}\n";
  CHECK(SplitSource({"cl", {{"k", "k", {}, {}, {}}}, declared})[0] == "// Function: k\n__kernel void k(int x) {\n}\n");
  const std::string plain = "__kernel void k() {}";
  CHECK(SplitSource({"cl", {{"k", "k", {}, {}, {}}}, plain}) == std::vector<std::string>{plain});
  CHECK(SplitSource({"cl", {{"k", "k", {}, {}, {}}}, "// Function: k"}) == std::vector<std::string>{"// Function: k"});
}

}  // namespace

int main() {
  RoundTrip();
  ExactBytes();
  Malformed();
  Fuzz();
  Sources();
  return check::Finish();
}
