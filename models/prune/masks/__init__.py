"""Which weights may be zero together: units, groups, families, masks, and their targets in training."""
