"""Pools whose windows are large or of several sizes; small ones have `codegen.schedules.pool`."""
