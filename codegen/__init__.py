"""How a network becomes OpenCL: schedules, compilation, linking, verification, running."""

from fleetpose.hiding import check_not_hidden

check_not_hidden("devices", "models")
