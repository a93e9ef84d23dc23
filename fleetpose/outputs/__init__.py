"""What a command writes, looked at before its work: against what it reads, and against what exists."""

from fleetpose.outputs.checks import CHECKPOINTS, check_outputs, check_weights_name, lies_in, same_file

__all__ = ["CHECKPOINTS", "check_outputs", "check_weights_name", "lies_in", "same_file"]
