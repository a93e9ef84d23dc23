"""The whole way, from a network and a device to a pruned, built, checked and measured artifact.

    python -m latency.optimize --model resnet50_3 --weights w.safetensors --device rpc:pixel --speedup 2 -o build/pixel

or, from Python:

    from latency.optimize.api import optimize
    from latency.optimize.request import Request
    result = optimize(model, phone, Request("resnet50_3", Path("build/pixel"), goal=Goal(speedup=2.0)))

`request` is what is asked for, `job` what every stage works on, `state` what is kept of finished stages, `flow` runs
them; the stages are `measuring`, `modelling`, `making`, `checking` and `reporting`. Importing the package imports none.
"""
