"""ModelSpec: what is known of a network without building it; torch-free."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.graph.layer import Shape
from models.pose.decoding.decoders import Decoding
from models.preprocess import Preprocessing
from models.zoo.blocks import BlockTable, block_of
from models.zoo.paper import PaperFacts

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model without building it.

    Attributes:
        name: as given to `create_model`.
        factory: "module:function" or a callable, answering the torch module.
        parameters: the factory's keyword arguments.
        preprocessing: how a photograph becomes the network's input.
        size: default input (height, width) in pixels.
        outputs: names of the network's outputs, in order.
        stride: input pixels per output cell.
        multiple: inputs' heights and widths are multiples of it and of `stride`; 1: of the stride alone.
        summary: one line for people.
        family: models of one family have one factory and differ in `parameters`.
        blocks: which modules make up which block; see models.zoo.blocks.
        paper: what the paper says of it; None for a network that is not the paper's.
        own_weights: the factory's weights are kept where no file of weights is given; else they are drawn.
        fixed_size: `size` is the only one it takes, as that of an exported program may be.
        returned: what the outputs are called in what the torch module returns, as in Answer.names; none: they are all
            its tensors.
        channels: of the input; 3 is a photograph's, 1 a grey one's.
        decoding: what the outputs do not say of how people are decoded from them.
        cut: the network ends before its torch module does, because what follows depends on the data.
    """

    name: str
    factory: str | Callable[..., nn.Module]
    preprocessing: Preprocessing
    size: tuple[int, int] = (368, 368)
    outputs: tuple[str, ...] = ("heatmaps", "pafs")
    stride: int = 8
    multiple: int = 1
    summary: str = ""
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    blocks: BlockTable = ()
    paper: PaperFacts | None = None
    own_weights: bool = False
    fixed_size: bool = False
    returned: tuple[str, ...] = ()
    cut: bool = False
    channels: int = 3
    decoding: Decoding = field(default_factory=Decoding)

    def build(self) -> nn.Module:
        """The module with torch's default initialisation."""
        if callable(self.factory):
            return self.factory(**self.parameters)
        module, _, function = self.factory.partition(":")
        return getattr(importlib.import_module(module), function)(**self.parameters)

    def input_shape(self, size: tuple[int, int] | None = None) -> Shape:
        """(channels, height, width) of the input at a size (default: the spec's own)."""
        return (self.channels, *(size or self.size))

    @property
    def side_step(self) -> int:
        """What heights and widths of inputs are multiples of."""
        return math.lcm(self.stride, self.multiple)

    def block(self, module: str) -> str:
        """The block a layer belongs to, from the path of the module it came from (Layer.module)."""
        return block_of(module, self.blocks)
