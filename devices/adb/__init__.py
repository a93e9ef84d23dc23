"""Phones behind an adb server, by the protocol that adb's own client speaks to it over TCP."""
