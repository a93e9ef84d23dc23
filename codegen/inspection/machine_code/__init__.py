"""What compilers say of a kernel, read: its machine code, statistics and limits, as figures of one kind."""
