/* Prints what the agent reads of a file; with a second argument it touches the file first. */
#include <stdio.h>

#include "agent/core/file_facts.h"

int main(int count, char** words) {
  agent_file_facts facts;
  if (count > 2) agent_file_touch(words[1]);
  if (count < 2 || !agent_file_facts_read(words[1], &facts)) return 1;
  printf("[%d, %d, %u, %llu, %lld]\n", facts.is_folder, facts.is_file, facts.owner, (unsigned long long)facts.bytes,
         (long long)facts.changed_nanos);
  return 0;
}
