"""Packages (.fpk): a network as the C runtime takes it, made of the same lowering as an artifact for TVM's runtime."""
