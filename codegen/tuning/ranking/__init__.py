"""Which candidates of a workload to time first, learnt from trials of other workloads."""
