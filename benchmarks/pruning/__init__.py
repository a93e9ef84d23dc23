"""What pruning keeps of the accuracy, by block shape and method: `python -m benchmarks.pruning`."""
