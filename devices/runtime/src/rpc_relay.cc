#include "rpc_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace fleetpose::rpc {
namespace {

constexpr std::size_t kBufferBytes = kMostChunkBytes;
constexpr double kLongestPollMilliseconds = 60000;

void MakeNonBlocking(int socket) { fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK); }

// Bytes that have come, as many as fit; nothing where none have. `ended` where no more will.
std::string_view Receive(int socket, std::string* buffer, bool* ended) {
  const ssize_t count = recv(socket, buffer->data(), buffer->size(), 0);
  if (count > 0) return {buffer->data(), static_cast<std::size_t>(count)};
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {};
  if (count < 0 && errno != ECONNRESET && errno != EPIPE) throw Broken(std::strerror(errno));
  *ended = true;
  return {};
}

std::string Seconds(double secs) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g s", std::round(secs * 10) / 10);
  return text;
}

}  // namespace

Relay::Relay(int near, int far, int tvm, bool chunked, Limits limits)
    : near_(near),
      far_(far),
      tvm_(tvm),
      chunked_(chunked),
      limits_(limits),
      call_secs_(limits.call_secs),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      buffer_(kBufferBytes, '\0'),
      owner_(getpid()) {
  MakeNonBlocking(near_);
  MakeNonBlocking(far_);
  thread_ = std::thread([this] { Run(); });
}

Relay::~Relay() {
  if (getpid() == owner_) {
    Cut("");
    thread_.join();
  } else {
    new std::thread(std::move(thread_));  // a forked process has no such thread, and must neither join nor destroy it
  }
  for (int one : {near_, far_, tvm_, wake_}) close(one);
}

void Relay::Cut(const std::string& why) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (alive_) why_ = why;
    alive_ = false;
  }
  if (getpid() != owner_) return;  // the connection is the other process's
  for (int one : {near_, far_, tvm_}) shutdown(one, SHUT_RDWR);
  const std::uint64_t one = 1;
  if (write(wake_, &one, sizeof(one)) < 0) return;  // full: it is awake
}

std::string Relay::why() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return why_;
}

void Relay::Run() {
  sigset_t all;  // signals are for the threads of the program
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  try {
    while (alive_ && Step()) {
    }
    Cut("");
  } catch (const std::exception& error) {
    Cut(error.what());
  }
}

// One round: waits for what may happen next, and passes on what has come. False where the conversation is over.
bool Relay::Step() {
  const auto interest = [](bool read, bool write) {
    return static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0));
  };
  const short near_events = interest(!near_ended_ && to_far_.empty(), !to_near_.empty());
  const short far_events = interest(!far_ended_ && to_near_.empty(), !to_far_.empty());
  // A socket of which nothing is wanted is left out: poll() would tell of its end again and again.
  pollfd polled[] = {{near_events != 0 ? near_ : -1, near_events, 0},
                     {far_events != 0 ? far_ : -1, far_events, 0},
                     {wake_, POLLIN, 0}};
  const double left = SecondsLeft();
  if (left <= 0) ThrowLate();  // also where something comes, but too slowly
  const int ready = poll(polled, 3, static_cast<int>(std::min(std::ceil(left * 1000), kLongestPollMilliseconds)));
  if (ready < 0 && errno != EINTR) throw Broken(std::strerror(errno));
  if (!alive_) return false;
  if (ready > 0 && polled[0].revents != 0) {
    if (!to_near_.empty()) Flush(near_, &to_near_);
    if (near_events & POLLIN) PassUp();
  }
  if (ready > 0 && polled[1].revents != 0) {
    if (!to_far_.empty()) Flush(far_, &to_far_);
    if (far_events & POLLIN) PassDown();
  }
  UpdatePhase();
  if (near_ended_ && to_far_.empty()) return false;
  if (far_ended_ && to_near_.empty()) {
    throw Broken(answer_.begun() ? "the connection ended in the middle of an answer" : "the connection ended");
  }
  return true;
}

void Relay::PassUp() {
  const std::string_view bytes = Receive(near_, &buffer_, &near_ended_);
  if (bytes.empty()) return;
  if (answer_.whole()) {
    request_.Clear();
    answer_.Clear();
  }
  request_.Take(bytes);
  if (chunked_) {
    writer_.Write(bytes, &to_far_);
  } else {
    to_far_ += bytes;
  }
  UpdatePhase();
  Flush(far_, &to_far_);
}

void Relay::PassDown() {
  std::string_view bytes = Receive(far_, &buffer_, &far_ended_);
  if (bytes.empty()) return;
  moved_ = Clock::now();
  if (chunked_) {
    unwrapped_.clear();
    reader_.Take(bytes, &unwrapped_);
    bytes = unwrapped_;
  }
  if (!bytes.empty()) {
    if (!request_.whole()) throw Broken("it sent something that nobody had asked for");
    answer_.Take(request_.request(), bytes, &to_near_);
  }
  UpdatePhase();
  Flush(near_, &to_near_);
}

// Sends what the socket takes now; the rest stays.
void Relay::Flush(int socket, std::string* waiting) {
  std::size_t sent = 0;
  while (sent < waiting->size()) {
    const ssize_t count = send(socket, waiting->data() + sent, waiting->size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count < 0) {
      // The end will be read, after what the other side has still said.
      (socket == near_ ? near_ended_ : far_ended_) |= errno != ECONNRESET && errno != EPIPE;
      sent = waiting->size();
      break;
    }
    sent += static_cast<std::size_t>(count);
  }
  waiting->erase(0, sent);
  if (socket == far_ && sent > 0) moved_ = Clock::now();
}

void Relay::UpdatePhase() {
  Phase phase = Phase::kIdle;
  if (answer_.begun()) {
    phase = answer_.whole() ? Phase::kIdle : Phase::kReceiving;
  } else if (request_.begun()) {
    phase = request_.whole() && to_far_.empty() ? Phase::kWaiting : Phase::kSending;
  }
  if (phase == phase_) return;
  phase_ = phase;
  since_ = moved_ = Clock::now();
}

double Relay::LimitSecs() const {
  switch (phase_) {
    case Phase::kSending:
      return limits_.answer_secs + static_cast<double>(request_.request().bytes) / limits_.bytes_per_sec;
    case Phase::kWaiting:
      return request_.request().RunsKernels() ? call_secs_.load() : limits_.answer_secs;
    case Phase::kReceiving:
      return limits_.answer_secs + static_cast<double>(answer_.total()) / limits_.bytes_per_sec;
    default:
      return HUGE_VAL;
  }
}

double Relay::SecondsLeft() const {
  const auto now = Clock::now();
  const double left = LimitSecs() - std::chrono::duration<double>(now - since_).count();
  if (phase_ == Phase::kIdle || phase_ == Phase::kWaiting) return left;
  return std::min(left, limits_.answer_secs - std::chrono::duration<double>(now - moved_).count());
}

void Relay::ThrowLate() const {
  const std::string doing = std::string(" (") + request_.request().Doing() + ")";
  if (phase_ == Phase::kWaiting) throw Broken("no answer within " + Seconds(LimitSecs()) + doing);
  const bool stalled = Clock::now() - moved_ >= std::chrono::duration<double>(limits_.answer_secs);
  if (stalled) throw Broken("nothing moved for " + Seconds(limits_.answer_secs) + doing);
  throw Broken("too slow: not over within " + Seconds(LimitSecs()) + doing);
}

}  // namespace fleetpose::rpc
