"""What keeps a training going: device, processes, memory, checkpoints, the log."""
