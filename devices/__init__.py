"""What can run kernels: profiles, sessions over RPC, measuring. Does not know networks or code generation."""
