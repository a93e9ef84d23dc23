"""The verbs of `fleetpose VERB`: which module each one runs, and what it does in a line. Imports none of them.

A verb runs the very module that `python -m` runs; a verb that two packages share has a name of its own for each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """A command.

    Attributes:
        name: what follows `fleetpose`.
        module: what follows `python -m`.
        help: what it does, in a line.
        is_package: whether the command is the `__main__` of a package.
    """

    name: str
    module: str
    help: str
    is_package: bool = False


#: what a person wants to do, in the order of the flow, and the verbs for it
GROUPS: dict[str, tuple[Verb, ...]] = {
    "check and offer a device": (
        Verb("doctor", "devices.doctor", "check each part of the path to a device and say what mends it"),
        Verb("phone", "devices.android", "make phones at a cable ready to measure, look at them, and end that", True),
        Verb("serve", "devices.serve", "offer the GPU of this machine to others"),
    ),
    "do everything in one go": (
        Verb("optimize", "latency.optimize", "prune, build, check and measure a network for a device", True),
        Verb("report", "latency.report", "write the report of a folder of optimize again", True),
    ),
    "look at a network": (
        Verb("list", "models.list", "list the networks that come with the package"),
        Verb("check", "models.check", "show what of a network runs on kernels of ours, and what does not and why"),
        Verb("layers", "models.layers", "list the fused layers of a network: shapes, multiply-adds, receptive fields"),
        Verb("accuracy", "models.evaluate", "judge a network's poses on annotated photographs"),
        Verb("train", "models.train", "train a network on annotated photographs", True),
    ),
    "learn what a device costs": (
        Verb("tune", "codegen.tune", "find the fastest schedule of each kernel of a network"),
        Verb("collect", "latency.collect", "time layers, dense and sparse, and keep records of them"),
        Verb("fit", "latency.fit", "fit the latency model to records"),
        Verb("predict", "latency.predict", "predict the time of a network, layer by layer and as a whole"),
        Verb("evaluate", "latency.evaluate", "judge a latency model on records it was not fitted to"),
        Verb("audit", "latency.audit", "set the choices of a plan beside times measured since"),
        Verb("box", "latency.box", "build the predictors that come with the package, from public tables"),
    ),
    "decide what becomes sparse or shallower": (
        Verb("sensitivity", "models.sensitivity", "measure what zeros in each layer cost in accuracy"),
        Verb("decide", "latency.decide", "write a plan: the sparsity of each layer that reaches a goal"),
        Verb("allocate", "models.allocate", "write a plan by numbers of weights alone, with no device"),
        Verb("depth", "codegen.depth", "search for depths of a network, timed on a device"),
        Verb("count-depth", "models.depth", "search for depths of a network by counts alone, with no device"),
        Verb("replace", "codegen.replace", "replace operators that a phone runs badly, timed on a device"),
        Verb("count-replace", "models.replace", "replace operators that a phone runs badly, by counts alone", True),
    ),
    "make and run the artifact": (
        Verb("prune", "models.prune", "put the zeros of a plan into the weights of a network", True),
        Verb("build", "codegen.build", "compile a network into one shared object"),
        Verb("verify", "codegen.verify", "compare an artifact on a device with the network it was built from"),
        Verb("run", "codegen.run", "find people with an artifact in a photograph or a video, or time it"),
        Verb("widen", "codegen.widen", "find the layers that half precision does not suffice for"),
        Verb("layer", "codegen.layer", "build, check and time a single layer"),
        Verb("inspect", "codegen.inspect", "show what compilers for phone GPUs make of kernels, without a phone"),
    ),
}
VERBS: dict[str, Verb] = {verb.name: verb for verbs in GROUPS.values() for verb in verbs}
