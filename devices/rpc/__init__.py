"""Other machines over TVM's RPC: tracker, server, connection, and the loopback pair that serves this machine."""
