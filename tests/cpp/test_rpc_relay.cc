// The relay between two socket pairs: what it passes, what it waits for and no longer, how it ends.
#include "rpc_relay.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "check.h"

using namespace fleetpose::rpc;

namespace {

// Two ends of the test's, with a relay between them.
class Bench {
 public:
  Bench(bool chunked, Limits limits) {
    int near[2], far[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, near) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, far) != 0) std::abort();
    tvm = near[0];
    network = far[0];
    const timeval patience{60, 0};  // so that a fault fails the test in place of stopping it
    for (int one : {tvm, network}) setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    relay = std::make_unique<Relay>(near[1], far[1], -1, chunked, limits);
  }
  ~Bench() {
    relay.reset();
    close(tvm);
    close(network);
  }

  int tvm, network;
  std::unique_ptr<Relay> relay;
};

constexpr Limits kShort{0.2, 0.2, 1e6};
constexpr Limits kLong{60, 60, 1e6};

void Say(int socket, const std::string& bytes) {
  CHECK(send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

// So many bytes, or as many as come before the end.
std::string Hear(int socket, std::size_t count) {
  std::string bytes(count, '\0');
  const ssize_t got = recv(socket, bytes.data(), count, MSG_WAITALL);
  return bytes.substr(0, got > 0 ? static_cast<std::size_t>(got) : 0);
}

std::string Framed(std::int32_t code, const std::string& content) {
  const std::uint64_t size = 4 + content.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + std::string(reinterpret_cast<const char*>(&code), 4) +
         content;
}

const std::string kQuestion = Framed(kGetGlobalFunc, "a name");
const std::string kAnswer = Framed(kReturn, std::string("\1\0\0\0\0\0\0\0", 8));

void PassesQuestionsAndAnswers() {
  Bench bench(false, kLong);
  for (int round = 0; round < 3; ++round) {
    Say(bench.tvm, kQuestion);
    CHECK(Hear(bench.network, kQuestion.size()) == kQuestion);
    Say(bench.network, kAnswer);
    CHECK(Hear(bench.tvm, kAnswer.size()) == kAnswer);
  }
  CHECK(bench.relay->alive());
}

void SpeaksInChunks() {
  Bench bench(true, kLong);
  ChunkReader reader;
  ChunkWriter writer;
  for (int round = 0; round < 3; ++round) {
    std::string heard, said;
    Say(bench.tvm, kQuestion);
    while (heard.size() < kQuestion.size()) reader.Take(Hear(bench.network, 1), &heard);
    CHECK(heard == kQuestion);
    writer.Write(kAnswer, &said);
    Say(bench.network, said);
    CHECK(Hear(bench.tvm, kAnswer.size()) == kAnswer);
  }
}

// A frame of some megabytes, whose other end reads late.
void CarriesMuch() {
  Bench bench(false, kLong);
  const std::string large = Framed(kCopyToRemote, std::string(5 << 20, 'x'));
  std::thread writer([&] { send(bench.tvm, large.data(), large.size(), MSG_NOSIGNAL); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(Hear(bench.network, large.size()) == large);
  writer.join();
}

void EndsWith(Bench* bench, const std::string& why) {
  CHECK(Hear(bench->tvm, 1).empty());  // TVM sees the end
  CHECK(!bench->relay->alive());
  const bool said = bench->relay->why().find(why) != std::string::npos;
  if (!said) std::fprintf(stderr, "%s\n", bench->relay->why().c_str());
  CHECK(said);
}

void NoAnswerInTime() {
  Bench bench(false, kShort);
  Say(bench.tvm, kQuestion);
  EndsWith(&bench, "no answer within 0.2 s (looking up a function)");
}

void CallsHaveALimitOfTheirOwn() {
  Bench bench(false, kShort);
  bench.relay->SetCallLimit(60);
  Say(bench.tvm, Framed(kCallFunc, "12345678"));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  CHECK(bench.relay->alive());
  Bench other(false, kLong);
  other.relay->SetCallLimit(0.1);
  Say(other.tvm, Framed(kCallFunc, "12345678"));
  EndsWith(&other, "no answer within 0.1 s (calling a function)");
}

void AnswerThatTrickles() {
  Bench bench(false, kShort);
  Say(bench.tvm, kQuestion);
  std::thread slow([&] {
    for (char byte : kAnswer) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (send(bench.network, &byte, 1, MSG_NOSIGNAL) < 0) return;
    }
  });
  EndsWith(&bench, "too slow: not over within 0.2 s (looking up a function)");
  slow.join();
}

void NetworkThatTakesNothing() {
  Bench bench(false, Limits{0.2, 60, 1});  // slow is allowed, standing still is not
  std::thread writer([&] {
    const std::string large = Framed(kCopyToRemote, std::string(8 << 20, 'x'));
    send(bench.tvm, large.data(), large.size(), MSG_NOSIGNAL);
  });
  writer.join();  // ends because the relay cuts
  EndsWith(&bench, "nothing moved for 0.2 s (sending data)");
}

void IdleHasNoLimit() {
  Bench bench(false, kShort);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(bench.relay->alive());
}

void Ends() {
  Bench idle(false, kLong);
  shutdown(idle.network, SHUT_RDWR);
  EndsWith(&idle, "the connection ended");
  Bench middle(false, kLong);
  Say(middle.tvm, kQuestion);
  Hear(middle.network, kQuestion.size());
  Say(middle.network, kAnswer.substr(0, 9));
  shutdown(middle.network, SHUT_RDWR);
  EndsWith(&middle, "the connection ended in the middle of an answer");
  Bench unasked(false, kLong);
  Say(unasked.network, kAnswer);
  EndsWith(&unasked, "it sent something that nobody had asked for");
  Bench garbage(false, kLong);
  Say(garbage.tvm, kQuestion);
  Say(garbage.network, std::string(100, '\xee'));
  EndsWith(&garbage, "its answer is no answer");
  Bench cut(false, kLong);
  cut.relay->Cut("the test cut it");
  cut.relay->Cut("again");
  EndsWith(&cut, "the test cut it");
}

void TvmClosesAndItsLastWordArrives() {
  Bench bench(false, kLong);
  const std::string goodbye = Framed(kShutdown, "");
  Say(bench.tvm, goodbye);
  shutdown(bench.tvm, SHUT_WR);
  CHECK(Hear(bench.network, goodbye.size()) == goodbye);
  CHECK(Hear(bench.network, 1).empty());
  CHECK(bench.relay->why().empty());
}

int OpenFiles() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (folder != nullptr && readdir(folder) != nullptr) ++count;
  if (folder != nullptr) closedir(folder);
  return count;
}

void NothingIsLeft() {
  const int before = OpenFiles();
  for (int i = 0; i < 200; ++i) {
    Bench bench(i % 3 == 0, kLong);
    if (i % 5 == 0) Say(bench.tvm, kQuestion);
  }
  CHECK(OpenFiles() == before);
}

// A process that was forked has the relay's memory and not its thread.
void AForkedProcessLeavesTheConnectionAlone() {
  Bench bench(false, kLong);
  const pid_t child = fork();
  if (child == 0) {
    bench.relay->Cut("not mine");
    bench.relay.reset();  // waits for no thread, which this process does not have
    _exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  Say(bench.tvm, kQuestion);
  CHECK(Hear(bench.network, kQuestion.size()) == kQuestion);
}

}  // namespace

int main() {
  PassesQuestionsAndAnswers();
  SpeaksInChunks();
  CarriesMuch();
  NoAnswerInTime();
  CallsHaveALimitOfTheirOwn();
  AnswerThatTrickles();
  NetworkThatTakesNothing();
  IdleHasNoLimit();
  Ends();
  TvmClosesAndItsLastWordArrives();
  NothingIsLeft();
  AForkedProcessLeavesTheConnectionAlone();
  return check::Finish();
}
