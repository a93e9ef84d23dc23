// Temporary buffers of kernels, kept for the next call: creating one costs a driver call, sometimes a map.
#pragma once

#include <cstddef>

#include "buffer.h"

namespace fleetpose::opencl {

// A buffer of at least `bytes`, from those given back if one fits without great waste.
Buffer* TakeWorkspace(Device* device, std::size_t bytes);

// May be called while commands that use the buffer are still enqueued: the next user's commands come after them in the
// same queue.
void GiveBackWorkspace(Buffer* buffer) noexcept;

}  // namespace fleetpose::opencl
