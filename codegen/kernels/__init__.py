"""One kernel's computation and its pieces: workloads, packed weights, loops, vectors, epilogues."""
