"""Predictors that come with the package: of phones' GPUs, from measurements that others made and published."""
