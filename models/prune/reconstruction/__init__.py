"""One-shot pruning by layer-wise reconstruction: the least-squares problem, its solver, the pass over a network."""
