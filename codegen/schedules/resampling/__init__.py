"""Resizes by tables of positions and weights; the usual doublings have `codegen.schedules.resize`."""
