"""The schedule of what has none of ours: TVM's own translation and default schedules, between two borders."""
