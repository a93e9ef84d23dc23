// A thread between TVM and the network, which is what sees that a wait has an end and that nothing harmful comes through.
//
// TVM's client waits in recv() without limit, in destructors with Python's lock held, and believes every byte. It talks
// to the `near` socket instead; the relay passes frames between that and the `far` one. It needs no lock of Python's,
// waits for no longer than the limits say, and cuts both ends when they have passed or something is wrong. It dies with
// its process, and costs one hop within the machine per message; a running kernel it does not touch.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>

#include "rpc_chunks.h"
#include "rpc_frames.h"

namespace fleetpose::rpc {

struct Limits {
  double answer_secs = 60;     // for an answer that waits for no kernel, and for the next byte of a frame
  double call_secs = 900;      // for an answer that may wait for kernels
  double bytes_per_sec = 1e5;  // at least, of a whole frame
};

class Relay {
 public:
  // Takes over all sockets. `tvm` is a duplicate of TVM's end of `near`, or -1: who sends to a socket that nobody reads
  // waits until its own end is shut down. With `chunked` the far end speaks in chunks with checksums (rpc_chunks.h).
  Relay(int near, int far, int tvm, bool chunked, Limits limits);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // For answers to requests from now on.
  void SetCallLimit(double secs) { call_secs_ = secs; }
  // Ends both connections at once, from any thread. The first reason stays.
  void Cut(const std::string& why);
  // Whether both ends are still connected.
  bool alive() const { return alive_; }
  // Why not; "" while they are, and where the near end has closed of itself.
  std::string why() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { kIdle, kSending, kWaiting, kReceiving };

  void Run();
  bool Step();
  void PassUp();    // near to far: questions
  void PassDown();  // far to near: answers
  void Flush(int socket, std::string* waiting);
  void UpdatePhase();
  double LimitSecs() const;
  double SecondsLeft() const;
  [[noreturn]] void ThrowLate() const;

  const int near_, far_, tvm_;
  const bool chunked_;
  const Limits limits_;
  std::atomic<double> call_secs_;
  std::atomic<bool> alive_{true};
  int wake_ = -1;

  mutable std::mutex mutex_;  // of why_
  std::string why_;

  // The thread's own.
  std::string buffer_, to_far_, to_near_, unwrapped_;
  bool near_ended_ = false, far_ended_ = false;
  RequestReader request_;
  AnswerReader answer_;
  ChunkWriter writer_;
  ChunkReader reader_;
  Phase phase_ = Phase::kIdle;
  Clock::time_point since_ = Clock::now(), moved_ = since_;  // when the phase began, when bytes went over the network

  const int owner_;  // the process whose thread it is; a forked one has none
  std::thread thread_;
};

}  // namespace fleetpose::rpc
