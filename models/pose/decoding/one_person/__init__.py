"""Decoders of networks that look at one person: heatmaps by their highest cell, and SimCC."""
