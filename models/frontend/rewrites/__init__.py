"""Rewrites of drafts that `models.frontend.fuse` runs: constants folded, activations recognised, scales carried."""
