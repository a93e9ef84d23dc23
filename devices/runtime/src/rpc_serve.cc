// TVM's server loop on a socket whose client speaks in chunks with checksums: fleetpose.rpc.serve(socket).
#include <sys/socket.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/function.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "rpc_chunks.h"
#include "rpc_frames.h"

namespace fleetpose::rpc {
namespace {

namespace ffi = tvm::ffi;

class ChunkedSocket {
 public:
  explicit ChunkedSocket(int socket) : socket_(socket) {}

  std::int64_t Send(const TVMFFIByteArray* bytes) {
    out_.clear();
    writer_.Write({bytes->data, bytes->size}, &out_);
    for (std::size_t sent = 0; sent < out_.size();) {
      const ssize_t count = send(socket_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) TVM_FFI_THROW(RuntimeError) << "cannot send: " << std::strerror(errno);
      sent += static_cast<std::size_t>(count);
    }
    return static_cast<std::int64_t>(bytes->size);
  }

  // At least one byte and at most `most`; nothing where the client has closed.
  ffi::Bytes Receive(std::int64_t most) {
    while (taken_ == in_.size()) {
      in_.clear();
      taken_ = 0;
      const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) TVM_FFI_THROW(RuntimeError) << "cannot receive: " << std::strerror(errno);
      if (count == 0) return ffi::Bytes();
      try {
        reader_.Take({buffer_.data(), static_cast<std::size_t>(count)}, &in_);
      } catch (const Broken& error) {
        TVM_FFI_THROW(RuntimeError) << error.what();
      }
    }
    const std::size_t count = std::min(static_cast<std::size_t>(most), in_.size() - taken_);
    const ffi::Bytes part(in_.data() + taken_, count);
    taken_ += count;
    return part;
  }

 private:
  const int socket_;
  ChunkWriter writer_;
  ChunkReader reader_;
  std::string buffer_ = std::string(kMostChunkBytes, '\0'), in_, out_;
  std::size_t taken_ = 0;  // of in_
};

// Returns when the client has said goodbye or closed; throws where the connection breaks.
void Serve(std::int64_t socket) {
  const auto channel = std::make_shared<ChunkedSocket>(static_cast<int>(socket));
  const auto send = ffi::Function::FromPacked([channel](ffi::PackedArgs args, ffi::Any* result) {
    *result = channel->Send(args[0].cast<TVMFFIByteArray*>());
  });
  const auto receive = ffi::Function::FromTyped([channel](std::int64_t most) { return channel->Receive(most); });
  ffi::Function::GetGlobalRequired("rpc.ServerLoop")(send, receive);
}

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::Function::SetGlobal("fleetpose.rpc.serve", ffi::Function::FromTyped(Serve), true);
}

}  // namespace
}  // namespace fleetpose::rpc
