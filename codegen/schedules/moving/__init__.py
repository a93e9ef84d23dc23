"""Schedules of layers that only move elements."""
