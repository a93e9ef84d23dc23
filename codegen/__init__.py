"""How a network becomes OpenCL: schedules, compilation, linking, verification, running."""
