"""Layers of op "fallback": operators of torch that have no schedule of ours."""
