"""From any traceable torch module to a Graph of fused layers, through torch.export.

export -> operator calls (models.frontend.exported) -> drafts (models.frontend.aten) -> fused drafts
(models.frontend.fuse) -> named Layers
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from fleetpose.errors import UsageError
from models.frontend.aten import TABLE
from models.frontend.decompositions import DECOMPOSITIONS
from models.frontend.decompositions.by_torch import MOST_ROUNDS, torch_decompositions
from models.frontend.decompositions.running import run_decompositions
from models.frontend.draft import UNSUPPORTED, Draft, Network
from models.frontend.exported import ProgramReader
from models.frontend.fuse import fuse
from models.frontend.parameters import parameter_of, separate
from models.frontend.results.failing import export_failure
from models.frontend.results.known_numbers import known_numbers
from models.frontend.results.nesting import flat_outputs
from models.frontend.results.stopping import export_until_data, quiet_export
from models.frontend.tokens.operators import TOKENS
from models.frontend.views.operators import VIEWS
from models.graph.layer import Layer, Shape
from models.graph.network import Graph


def trace(
    module: nn.Module | ExportedProgram,
    input_shape: Shape | None = None,
    name: str = "network",
    *,
    dtype: Any = np.float32,
) -> Graph:
    """The graph of fused layers `module` computes in eval mode.

    Batch norms and residual sums fold into convolutions (in float64), activations into epilogues; what no output
    depends on is dropped. The module's mode and weights are left as they are. Nested outputs come flat; which of them
    is what, and where the network was cut because what follows depends on the data, is in Graph.answer.

    Args:
        module: takes one tensor (1, *input_shape); or an ExportedProgram of such a module. Where that tensor is of
            bytes (a picture, which the module casts itself), the graph's input has the same numbers, 0 to 255.
        input_shape: (channels, height, width); needed for a module, taken from an ExportedProgram.
        name: of the graph.
        dtype: of the graph's weights; float64 keeps folding exact, for checks.

    Raises:
        UsageError: the module cannot be exported; it uses an operator, or an operator in a way, that no Layer
            expresses (named, with the module it came from); inputs or outputs of another form.
    """
    if isinstance(module, ExportedProgram):
        program = module
    elif input_shape is None:
        raise UsageError("tracing a module needs its input shape (channels, height, width)")
    else:
        program = export(module, input_shape)
    network = fuse(ProgramReader(make_plain(program)).network())
    return finish(network, name, dtype)


def make_plain(program: ExportedProgram) -> ExportedProgram:
    """A program without operators that work in place, and without those that are others, by us or by torch."""
    known = {*TABLE, *VIEWS, *TOKENS, *(str(target.overloadpacket.__name__) for target in DECOMPOSITIONS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = run_decompositions(program, {**torch_decompositions(program, known), **DECOMPOSITIONS})
        for _ in range(MOST_ROUNDS):
            if not (others := torch_decompositions(program, known)):
                break
            program = run_decompositions(program, {**others, **DECOMPOSITIONS})
    return program


def export_plain(module: nn.Module, input_shape: Shape) -> ExportedProgram:
    """What `ProgramReader` reads of a module. Raises UsageError as `export` does."""
    return make_plain(export(module, input_shape))


def export(module: nn.Module, input_shape: Shape) -> ExportedProgram:
    """What `module` runs in eval mode on one input (1, *input_shape). Raises UsageError where torch cannot say it.

    The input is of the weights' type; of bytes, where the module takes no other.
    """
    first = next(module.parameters(), torch.empty(0))
    example = torch.zeros(1, *input_shape, dtype=first.dtype, device=first.device)
    try:
        return _export(module, example)
    except Exception as error:  # torch.export documents no base class for what it raises
        program = None
        with eval_mode(module), known_numbers(module):
            if "data-dependent" in str(error):
                with suppress(Exception):
                    program = _export(module, example)
            program = program or export_until_data(module, example)
        if program is None:
            with suppress(Exception):
                program = _export(module, example.to(torch.uint8))
        if program is not None:
            return program
        with eval_mode(module):
            failure = export_failure(module, example, error)
        raise failure from error


def _export(module: nn.Module, example: torch.Tensor) -> ExportedProgram:
    with eval_mode(module), flat_outputs(module), torch.no_grad(), quiet_export():
        return torch.export.export(module, (example,), strict=False)


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while; then every part is in the mode it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def finish(network: Network, name: str, dtype: Any) -> Graph:
    """Name the layers after the modules they came from, and freeze everything."""
    names = {network.input: network.input}
    for draft in network.drafts:
        names[draft.name] = _unique(_layer_name(draft), set(names.values()))
    shapes = network.shapes()
    layers, weights = [], {}
    for draft in network.drafts:
        if draft.op == UNSUPPORTED:
            continue
        layer = _layer(draft, names, tuple(shapes[tensor] for tensor in draft.inputs))
        layers.append(layer)
        if draft.weight is not None:
            weights[f"{layer.name}.weight"] = np.ascontiguousarray(draft.weight, dtype)
            if draft.bias is not None:
                weights[f"{layer.name}.bias"] = np.ascontiguousarray(draft.bias, dtype)
        elif draft.op == "constant":
            weights[f"{layer.name}.value"] = np.ascontiguousarray(draft.value, dtype)
    outputs = tuple(names[tensor] for tensor in network.outputs)
    answer = network.answer.with_names(names)
    return Graph(name, network.input, network.input_shape, outputs, tuple(separate(layers)), weights, answer)


def _layer(draft: Draft, names: dict[str, str], in_shapes: tuple[Shape, ...]) -> Layer:
    return Layer(
        name=names[draft.name],
        op=draft.op,
        inputs=tuple(names[tensor] for tensor in draft.inputs),
        in_shapes=in_shapes,
        out_shape=draft.shape,
        kernel=(int(draft.kernel[0]), int(draft.kernel[1])),
        stride=draft.stride,
        padding=(draft.margins[0], draft.margins[2]),
        dilation=draft.dilation,
        groups=draft.groups,
        bias=draft.op == "conv" and draft.bias is not None,
        epilogue=tuple(draft.epilogue),
        mode=draft.mode,
        align_corners=draft.align_corners,
        count_include_pad=draft.count_include_pad,
        reduction=draft.reduction,
        transposed=draft.transposed,
        product=draft.product,
        divisor=draft.divisor,
        scale=draft.scale,
        moves=draft.moves,
        fill=draft.fill,
        foreign=draft.foreign,
        module=draft.path,
        parameter=parameter_of(draft),
    )


def _layer_name(draft: Draft) -> str:
    """The module's path, without a last ".conv" that says nothing; with the operation where the module has several."""
    if not draft.leaf:
        return f"{draft.path}.{draft.kind}" if draft.path else draft.kind
    return draft.path.removesuffix(".conv")


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate
