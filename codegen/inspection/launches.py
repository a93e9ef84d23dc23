"""The launches of kernels: what there is to inspect. Imports no TVM."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.inspection.sources import KernelSource
from models.graph.layer import Layer
from models.graph.network import Widened
from models.plans.sparsity import parse_variant

#: kinds of the copies at a network's ends
ENDS = ("import", "export")


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes:
        kernel: its name in the artifact.
        source: its text.
        group: work-items of a work-group; groups: work-groups.
        images: (width, height) of each image of the layer, in texels.
        macs: multiply-adds of a work-item; None where their number is among the constants that it reads.
        alternatives: parts of the text of which each work-item runs one.
    """

    kernel: str
    source: KernelSource
    group: int
    groups: int
    images: tuple[tuple[int, int], ...] = ()
    macs: int | None = 0
    alternatives: int = 1


@dataclass(frozen=True)
class LayerLaunches:
    """The launches of one layer.

    Attributes:
        layer: its name; "input" and "output N" are the copies at a network's ends.
        kind: what people call the kernel: the schedule, and of a convolution the extents of its window.
        schedule, tile, variant, widened: as in a manifest.
        macs: multiply-adds that the variant leaves, 0 for what multiplies nothing.
        with_previous: the launches are those of the layer before it, which has others of its kind beside it.
    """

    layer: str
    kind: str
    schedule: str
    tile: str
    variant: str
    macs: int
    launches: tuple[Launch, ...]
    with_previous: bool = False
    widened: Widened = ""


def kind_of(layer: Layer | None, schedule: str) -> str:
    """What a layer's kernels are counted under: the schedule's name, and of a convolution its window's extents."""
    if layer is None or layer.op != "conv" or schedule in ("depthwise", "pointwise"):
        return "pointwise 1x1" if schedule == "pointwise" else schedule
    return f"{schedule} {layer.kernel[0]}x{layer.kernel[1]}"


def kept_macs(layer: Layer | None, macs: int, variant: str) -> int:
    """The multiply-adds of a layer that its variant leaves."""
    sparsity = parse_variant(variant)
    return macs if layer is None or sparsity is None or not macs else sparsity.kept_macs(layer)
