"""What a layer costs on a device and what to choose: collection, the latency model, decisions.

`latency.optimize.api.optimize` is all of it in one call.
"""
