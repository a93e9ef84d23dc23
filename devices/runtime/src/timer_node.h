// TVM's <tvm/runtime/timer.h>, for its TimerNode. It includes tensor.h, which includes headers that the wheel does not
// ship and of which the timer needs nothing: tensor.h's include guard keeps it out.
#pragma once

#include <tvm/ffi/function.h>
#include <tvm/runtime/device_api.h>

#ifndef TVM_RUNTIME_TENSOR_H_
#define TVM_RUNTIME_TENSOR_H_
#endif
#include <tvm/runtime/timer.h>
