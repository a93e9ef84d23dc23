// Copies between host memory, buffers and images.

#include <tvm/ffi/container/tensor.h>

#include <vector>

#include "buffer.h"
#include "error.h"

namespace fleetpose::opencl {
namespace {

// One side of a copy on the device, its range checked.
struct Side {
  Buffer* buffer;
  std::size_t offset;
};

Side DeviceSide(const DLTensor& tensor, std::size_t bytes) {
  auto* buffer = static_cast<Buffer*>(tensor.data);
  if (buffer == nullptr) Throw("copy of a tensor without device memory");
  const Side side{buffer, static_cast<std::size_t>(tensor.byte_offset)};
  if (side.offset > buffer->bytes || bytes > buffer->bytes - side.offset) {
    Throw("copy of bytes " + std::to_string(side.offset) + " to " + std::to_string(side.offset + bytes) +
          " goes beyond device memory of " + std::to_string(buffer->bytes) + " bytes");
  }
  if (buffer->is_image() && (side.offset != 0 || bytes != buffer->bytes)) {
    Throw("an image2d is copied whole: " + std::to_string(buffer->bytes) + " bytes, not " + std::to_string(bytes) +
          " at offset " + std::to_string(side.offset));
  }
  return side;
}

struct Region {
  std::size_t origin[3] = {0, 0, 0};
  std::size_t extent[3];
  explicit Region(const ImageShape& image) : extent{image.width, image.height, 1} {}
};

// Enqueued without blocking under the device's lock, waited for outside of it.
class Waited {
 public:
  cl_event* out() { return &event_; }
  void Wait(const char* doing) { OPENCL_CALL(doing, clWaitForEvents, 1, &event_); }
  ~Waited() {
    if (event_ != nullptr) GetApi().clReleaseEvent(event_);
  }

 private:
  cl_event event_ = nullptr;
};

void Upload(const std::byte* host, const Side& to, std::size_t bytes) {
  Waited done;
  {
    const Device::Held held = to.buffer->device->Hold();
    if (to.buffer->is_image()) {
      // Row pitch 0: host rows follow each other without padding, whatever the driver does on its side.
      const Region region(to.buffer->image);
      OPENCL_CALL("copying to an image2d", clEnqueueWriteImage, held.queue, to.buffer->memory, CL_FALSE, region.origin,
                  region.extent, 0, 0, host, 0, nullptr, done.out());
    } else {
      OPENCL_CALL("copying to the device", clEnqueueWriteBuffer, held.queue, to.buffer->memory, CL_FALSE, to.offset,
                  bytes, host, 0, nullptr, done.out());
    }
  }
  done.Wait("copying to the device");
}

void Download(const Side& from, std::byte* host, std::size_t bytes) {
  Waited done;
  {
    const Device::Held held = from.buffer->device->Hold();
    if (from.buffer->is_image()) {
      const Region region(from.buffer->image);
      OPENCL_CALL("copying from an image2d", clEnqueueReadImage, held.queue, from.buffer->memory, CL_FALSE,
                  region.origin, region.extent, 0, 0, host, 0, nullptr, done.out());
    } else {
      OPENCL_CALL("copying from the device", clEnqueueReadBuffer, held.queue, from.buffer->memory, CL_FALSE,
                  from.offset, bytes, host, 0, nullptr, done.out());
    }
  }
  done.Wait("copying from the device");
}

void Within(const Side& from, const Side& to, std::size_t bytes) {
  const Device::Held held = from.buffer->device->Hold();
  const cl_mem source = from.buffer->memory, target = to.buffer->memory;
  if (from.buffer->is_image() && to.buffer->is_image()) {
    const Region region(from.buffer->image);
    if (region.extent[0] != to.buffer->image.width) Throw("copy between image2ds of different widths");
    OPENCL_CALL("copying an image2d", clEnqueueCopyImage, held.queue, source, target, region.origin, region.origin,
                region.extent, 0, nullptr, nullptr);
  } else if (from.buffer->is_image()) {
    const Region region(from.buffer->image);
    OPENCL_CALL("copying an image2d to a buffer", clEnqueueCopyImageToBuffer, held.queue, source, target, region.origin,
                region.extent, to.offset, 0, nullptr, nullptr);
  } else if (to.buffer->is_image()) {
    const Region region(to.buffer->image);
    OPENCL_CALL("copying a buffer to an image2d", clEnqueueCopyBufferToImage, held.queue, source, target, from.offset,
                region.origin, region.extent, 0, nullptr, nullptr);
  } else {
    OPENCL_CALL("copying on the device", clEnqueueCopyBuffer, held.queue, source, target, from.offset, to.offset, bytes,
                0, nullptr, nullptr);
  }
}

}  // namespace

void Copy(const DLTensor& from, const DLTensor& to) {
  if (!tvm::ffi::IsContiguous(from) || !tvm::ffi::IsContiguous(to)) {
    Throw("only contiguous tensors can be copied to, from or on the device");
  }
  const std::size_t bytes = tvm::ffi::GetDataSize(from), room = tvm::ffi::GetDataSize(to);
  if (bytes != room) {
    Throw("copy between tensors of " + std::to_string(bytes) + " and " + std::to_string(room) + " bytes");
  }
  if (bytes == 0) return;
  const auto host = [](const DLTensor& tensor) { return static_cast<std::byte*>(tensor.data) + tensor.byte_offset; };
  const bool from_device = from.device.device_type == kDLOpenCL, to_device = to.device.device_type == kDLOpenCL;
  if (from_device && to_device) {
    const Side source = DeviceSide(from, bytes), target = DeviceSide(to, bytes);
    if (source.buffer->device == target.buffer->device) return Within(source, target, bytes);
    std::vector<std::byte> staging(bytes);  // two devices share no context
    Download(source, staging.data(), bytes);
    Upload(staging.data(), target, bytes);
  } else if (to_device) {
    Upload(host(from), DeviceSide(to, bytes), bytes);
  } else if (from_device) {
    Download(DeviceSide(from, bytes), host(to), bytes);
  } else {
    Throw("copy without an OpenCL side");
  }
}

}  // namespace fleetpose::opencl
