/* fleetpose-agent: offers a phone's OpenCL device to clients of TVM's RPC, without TVM. docs/agent.md says how. */
#include "agent/core/log.h"
#include "agent/server/server.h"

int main(int count, char** words) {
  agent_options options;
  if (!agent_options_read(&options, count, words)) return 2;
  if (options.only_version) {
    agent_say("fleetpose-agent %s", AGENT_VERSION);
    return 0;
  }
  return agent_server_run(&options);
}
