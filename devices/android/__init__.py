"""Phones at this machine's cable: made ready to measure through adb, looked at, and left as they were."""
