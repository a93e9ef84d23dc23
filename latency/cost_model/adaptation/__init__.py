"""Adapting predictors of other devices to one of which little is known."""
