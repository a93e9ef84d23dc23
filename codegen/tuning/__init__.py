"""Choosing schedules by measuring: tasks, contests between candidates, the tuned data of each profile."""
