#include "serialize.h"

#include <map>

namespace fleetpose::opencl {
namespace {

class Writer {
 public:
  template <typename T>
  void Integer(T value) {
    auto bits = static_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i, bits >>= 8) bytes_.push_back(static_cast<char>(bits & 0xff));
  }
  void String(const std::string& text) {
    Integer<std::uint64_t>(text.size());
    bytes_ += text;
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T Integer() {
    const std::string_view part = Bytes(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) value = value << 8 | static_cast<unsigned char>(part[i]);
    return static_cast<T>(value);
  }

  std::string String() { return std::string(Bytes(Integer<std::uint64_t>())); }

  // A count of items of at least `item_bytes`, refused when that many cannot follow: a damaged count must not become
  // an allocation.
  std::size_t Count(std::size_t item_bytes) {
    const auto count = Integer<std::uint64_t>();
    if (count > bytes_.size() / item_bytes) Fail("a list of " + std::to_string(count) + " items");
    return static_cast<std::size_t>(count);
  }

  void ExpectEnd() const {
    if (bytes_.empty()) return;
    throw MalformedModule("malformed OpenCL module: " + std::to_string(bytes_.size()) + " bytes too many");
  }

 private:
  std::string_view Bytes(std::uint64_t count) {
    if (count > bytes_.size()) Fail(std::to_string(count) + " bytes");
    const std::string_view part = bytes_.substr(0, static_cast<std::size_t>(count));
    bytes_.remove_prefix(static_cast<std::size_t>(count));
    return part;
  }

  [[noreturn]] void Fail(const std::string& wanted) const {
    throw MalformedModule("malformed OpenCL module: " + wanted + " expected where " + std::to_string(bytes_.size()) +
                          " bytes are left");
  }

  std::string_view bytes_;
};

constexpr std::size_t kStringBytes = 8;  // at least its length
constexpr std::string_view kMarker = "// Function: ";

KernelInfo ReadKernel(Reader* reader) {
  KernelInfo kernel;
  kernel.key = reader->String();
  kernel.name = reader->String();
  kernel.arg_types.resize(reader->Count(4));
  for (DLDataType& type : kernel.arg_types) {
    type.code = reader->Integer<std::uint8_t>();
    type.bits = reader->Integer<std::uint8_t>();
    type.lanes = reader->Integer<std::uint16_t>();
  }
  kernel.launch_tags.resize(reader->Count(kStringBytes));
  for (std::string& tag : kernel.launch_tags) tag = reader->String();
  kernel.extra_tags.resize(reader->Count(4));
  for (std::int32_t& tag : kernel.extra_tags) tag = reader->Integer<std::int32_t>();
  return kernel;
}

}  // namespace

std::string Serialize(const ModuleData& module) {
  Writer writer;
  writer.String(module.format);
  writer.Integer<std::uint64_t>(module.kernels.size());
  for (const KernelInfo& kernel : module.kernels) {
    writer.String(kernel.key);
    writer.String(kernel.name);
    writer.Integer<std::uint64_t>(kernel.arg_types.size());
    for (const DLDataType& type : kernel.arg_types) {
      writer.Integer(type.code);
      writer.Integer(type.bits);
      writer.Integer(type.lanes);
    }
    writer.Integer<std::uint64_t>(kernel.launch_tags.size());
    for (const std::string& tag : kernel.launch_tags) writer.String(tag);
    writer.Integer<std::uint64_t>(kernel.extra_tags.size());
    for (std::int32_t tag : kernel.extra_tags) writer.Integer(tag);
  }
  writer.String(module.code);
  return writer.Take();
}

ModuleData Parse(std::string_view bytes) {
  Reader reader(bytes);
  ModuleData module;
  module.format = reader.String();
  module.kernels.resize(reader.Count(5 * kStringBytes));
  for (KernelInfo& kernel : module.kernels) kernel = ReadKernel(&reader);
  module.code = reader.String();
  reader.ExpectEnd();
  return module;
}

namespace {

// `section` without its forward declarations of kernels. TVM writes those of the whole module into every section; no
// kernel calls another, and with them each source, and so its key in the program cache, would depend on all the others.
std::string WithoutDeclarations(const std::string& section) {
  std::string kept;
  for (std::size_t begin = 0; begin < section.size();) {
    const std::size_t newline = section.find('\n', begin);
    const std::size_t end = newline == std::string::npos ? section.size() : newline + 1;
    const std::string_view line = std::string_view(section).substr(begin, end - begin);
    const std::size_t last = line.find_last_not_of(" \r\n");
    const bool declaration = line.rfind("__kernel void ", 0) == 0 && last > 0 && line.substr(last - 1, 2) == ");";
    if (!declaration) kept += line;
    begin = end;
  }
  return kept;
}

}  // namespace

std::vector<std::string> SplitSource(const ModuleData& module) {
  const std::string& code = module.code;
  const auto marker_from = [&](std::size_t at) {
    // Only at the start of a line: the words may also stand in a comment of the kernel.
    while ((at = code.find(kMarker, at)) != std::string::npos && at != 0 && code[at - 1] != '\n') ++at;
    return at;
  };
  std::map<std::string, std::string> sections;
  std::size_t begin = marker_from(0);
  const std::string preamble = code.substr(0, begin);
  while (begin != std::string::npos) {
    const std::size_t name_begin = begin + kMarker.size();
    const std::size_t name_end = code.find('\n', name_begin);
    const std::size_t end = marker_from(name_begin);
    if (name_end == std::string::npos) break;
    sections[code.substr(name_begin, name_end - name_begin)] =
        preamble + WithoutDeclarations(code.substr(begin, end - begin));
    begin = end;
  }
  std::vector<std::string> sources;
  for (const KernelInfo& kernel : module.kernels) {
    const auto found = sections.find(kernel.name);
    sources.push_back(found != sections.end() ? found->second : code);
  }
  return sources;
}

}  // namespace fleetpose::opencl
