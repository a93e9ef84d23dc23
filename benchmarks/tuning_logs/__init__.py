"""Logs of other tools' tuning, replayed: how near to the best a few of the configurations in them come."""
