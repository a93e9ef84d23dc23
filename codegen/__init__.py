"""How a network becomes OpenCL: schedules, compilation, linking, verification, running."""

from fleetpose.hiding import check_not_hidden
from fleetpose.native import read_symbols_before_torch

check_not_hidden("devices", "models")
read_symbols_before_torch()  # codegen imports TVM
