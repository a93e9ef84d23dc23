// Device memory as TVM sees it: what DLTensor.data points to.
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "device.h"

namespace fleetpose::opencl {

// An image2d: `width` x `height` texels of four channels. width == 0 stands for a plain buffer.
struct ImageShape {
  std::size_t width = 0, height = 0, texel_bytes = 0;
};

// `memory` comes first because kernels are given the address of this struct as the address of a cl_mem.
struct Buffer {
  cl_mem memory;
  Device* device;
  std::size_t bytes;  // of an image: of its texels, rows without padding
  ImageShape image;
  bool is_image() const { return image.width != 0; }
};
static_assert(std::is_standard_layout_v<Buffer> && offsetof(Buffer, memory) == 0);

// A buffer of `bytes` (at least one is allocated, so that empty tensors have an address).
Buffer* AllocateBuffer(Device* device, std::size_t bytes);

// An image2d for a tensor in a `global.texture*` scope: an array of one, because TVM's compiler declares textures as
// image2d_array_t. The last axis is the four channels of a texel; the axes before it are split into rows (height) and
// columns (width): "global.texture" keeps one axis as columns, "-weight" makes the first axis rows, "-nhwc" makes the
// first axis (of three) or the first two axes rows.
// Throws OpenCLError for another scope, dtype or last axis.
ImageShape TextureShape(int ndim, const std::int64_t* shape, DLDataType dtype, const std::string& scope);
Buffer* AllocateImage(Device* device, int ndim, const std::int64_t* shape, DLDataType dtype, const std::string& scope);

// Called from destructors: never throws, reports a failure on stderr.
void Free(Buffer* buffer) noexcept;

// Copy a whole contiguous tensor: host to device, device to host, or between buffers and images of one device or two.
// On return a host side may be changed or freed; device-to-device copies are only enqueued.
void Copy(const DLTensor& from, const DLTensor& to);

}  // namespace fleetpose::opencl
