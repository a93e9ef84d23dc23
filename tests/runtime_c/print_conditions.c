/* Prints the conditions that the agent reads, below the folder AGENT_SYS that it is compiled with. */
#include <stdio.h>

#include "agent/device/conditions.h"

int main(void) {
  agent_bytes json = {0};
  agent_describe_conditions(&json);
  if (json.is_lost) return 1;
  printf("%.*s\n", (int)json.size, (const char*)json.data);
  agent_bytes_free(&json);
  return 0;
}
