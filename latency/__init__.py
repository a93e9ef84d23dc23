"""What a layer costs on a device and what to choose: collection, the latency model, decisions.

`latency.optimize.api.optimize` is all of it in one call.
"""

from fleetpose.hiding import check_not_hidden

check_not_hidden("codegen", "devices", "models")
