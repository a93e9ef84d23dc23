#include "buffer.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "error.h"

namespace fleetpose::opencl {
namespace {

constexpr const char* kTexture = "global.texture";

std::optional<cl_channel_type> ChannelType(DLDataType dtype) {
  switch (dtype.code) {
    case kDLFloat:
      if (dtype.bits == 32) return CL_FLOAT;
      if (dtype.bits == 16) return CL_HALF_FLOAT;
      break;
    case kDLInt:
      if (dtype.bits == 32) return CL_SIGNED_INT32;
      if (dtype.bits == 16) return CL_SIGNED_INT16;
      if (dtype.bits == 8) return CL_SIGNED_INT8;
      break;
    case kDLUInt:
      if (dtype.bits == 32) return CL_UNSIGNED_INT32;
      if (dtype.bits == 16) return CL_UNSIGNED_INT16;
      if (dtype.bits == 8) return CL_UNSIGNED_INT8;
      break;
    default:
      break;
  }
  return std::nullopt;
}

// How many leading axes become rows.
int RowAxes(int ndim, const std::string& scope) {
  if (scope == kTexture) return ndim - 2;
  if (scope == std::string(kTexture) + "-weight") return 1;
  if (scope == std::string(kTexture) + "-nhwc") return ndim == 3 ? 1 : 2;
  Throw("memory scope \"" + scope +
        "\" is not supported; known: global, global.texture, global.texture-nhwc, "
        "global.texture-weight");
}

std::size_t Product(const std::int64_t* first, const std::int64_t* last) {
  std::size_t product = 1;
  for (; first != last; ++first) {
    if (*first < 0) Throw("negative extent " + std::to_string(*first) + " in a texture's shape");
    product *= static_cast<std::size_t>(*first);
  }
  return product;
}

}  // namespace

Buffer* AllocateBuffer(Device* device, std::size_t bytes) {
  auto buffer = std::make_unique<Buffer>(Buffer{nullptr, device, bytes, {}});
  cl_int code = CL_SUCCESS;
  buffer->memory =
      GetApi().clCreateBuffer(device->context(), CL_MEM_READ_WRITE, std::max<std::size_t>(bytes, 1), nullptr, &code);
  if (code != CL_SUCCESS) {
    const DeviceFacts& facts = device->facts();
    ThrowCode(code, "clCreateBuffer",
              "allocating " + std::to_string(bytes) + " bytes on " + facts.name + " (largest single allocation " +
                  std::to_string(facts.max_alloc_bytes) + ", memory " + std::to_string(facts.global_bytes) + ")");
  }
  return buffer.release();
}

ImageShape TextureShape(int ndim, const std::int64_t* shape, DLDataType dtype, const std::string& scope) {
  const int rows = RowAxes(ndim, scope);
  if (ndim < 2 || rows < 0 || rows > ndim - 1) {
    Throw("a tensor of " + std::to_string(ndim) + " axes does not fit memory scope \"" + scope + "\"");
  }
  if (!ChannelType(dtype)) Throw("no image2d channel type for this dtype; known: float16/32, (u)int8/16/32");
  if (shape[ndim - 1] * dtype.lanes != 4) {
    Throw("a texture's last axis is one texel of 4 channels, not " + std::to_string(shape[ndim - 1] * dtype.lanes));
  }
  return {Product(shape + rows, shape + ndim - 1), Product(shape, shape + rows), std::size_t{dtype.bits} / 8 * 4};
}

Buffer* AllocateImage(Device* device, int ndim, const std::int64_t* shape, DLDataType dtype, const std::string& scope) {
  const ImageShape image = TextureShape(ndim, shape, dtype, scope);
  const DeviceFacts& facts = device->facts();
  const std::string size = std::to_string(image.width) + " x " + std::to_string(image.height) + " texels";
  if (!facts.image2d) Throw(facts.name + " has no image2d support");
  if (image.width == 0 || image.height == 0 || image.width > facts.image2d_width ||
      image.height > facts.image2d_height) {
    Throw("an image2d of " + size + " does not fit " + facts.name + " (1 to " + std::to_string(facts.image2d_width) +
          " x " + std::to_string(facts.image2d_height) + ")");
  }
  const cl_image_format format{CL_RGBA, *ChannelType(dtype)};
  cl_image_desc description{};
  description.image_type = CL_MEM_OBJECT_IMAGE2D_ARRAY;
  description.image_width = image.width;
  description.image_height = image.height;
  description.image_array_size = 1;
  auto buffer =
      std::make_unique<Buffer>(Buffer{nullptr, device, image.width * image.height * image.texel_bytes, image});
  cl_int code = CL_SUCCESS;
  buffer->memory = GetApi().clCreateImage(device->context(), CL_MEM_READ_WRITE, &format, &description, nullptr, &code);
  if (code != CL_SUCCESS) ThrowCode(code, "clCreateImage", "allocating an image2d of " + size + " on " + facts.name);
  return buffer.release();
}

void Free(Buffer* buffer) noexcept {
  if (buffer == nullptr) return;
  if (ForkedAway()) return;  // it is the parent's to free; waiting here would wait for threads that do not exist
  const std::unique_ptr<Buffer> owned(buffer);
  try {
    // The standard keeps memory alive while enqueued commands use it; not every phone driver does. Frees are rare
    // (TVM's virtual machine pools its memory), so waiting costs little.
    owned->device->Finish("freeing memory");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fleetpose: %s\n", error.what());
  }
  const cl_int code = GetApi().clReleaseMemObject(owned->memory);
  if (code != CL_SUCCESS) std::fprintf(stderr, "fleetpose: %s from clReleaseMemObject\n", CodeName(code).c_str());
}

}  // namespace fleetpose::opencl
