"""The fused layers of a network, one line each: `python -m models.layers --model M`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fleetpose import cli
from fleetpose.errors import UsageError
from fleetpose.trust import add_trust_flag
from models.graph.layer import Shape
from models.graph.network import Graph
from models.graph.receptive import receptive_fields
from models.graph.tied import counted_params
from models.plans.eligible import reasons_to_stay_dense
from models.plans.explain import list_names
from models.resolve import MODEL_HELP, create_model, model_spec
from models.zoo.blocks import UNNAMED
from models.zoo.input_sizes import check_only_size
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from models.frontend.results.residency import Residency


@dataclass(frozen=True)
class LayerRow:
    """One fused layer at one input size; shapes are (C, H, W), per-axis values (height, width).

    Attributes:
        epilogue: the steps after the op and its bias, e.g. ("relu", "add").
        params: weights and biases after folding; those of a layer before it that it is tied to are not counted again.
        block: of models.zoo.blocks.
        receptive_field: input pixels one output cell can depend on; may exceed the picture.
        receptive_stride: input pixels from one output cell to the next.
        transposed: it is a transposed convolution; its stride is then that of the output.
        dense: of a convolution, why no plan prunes it; "" where it may be pruned, and of all other layers.
    """

    name: str
    op: str
    block: str
    inputs: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    epilogue: tuple[str, ...]
    macs: int
    params: int
    receptive_field: tuple[int, int]
    receptive_stride: tuple[float, float]
    transposed: bool = False
    dense: str = ""
    operator: str = ""


@dataclass(frozen=True)
class BlockSum:
    """The sums over one block; `layers` counts those with MACs."""

    layers: int
    macs: int
    params: int


def layer_rows(graph: Graph, spec: ModelSpec | None = None) -> list[LayerRow]:
    """The layers of a graph in their order; without a spec every block is "network"."""
    fields, params = receptive_fields(graph), counted_params(graph.layers)
    dense = reasons_to_stay_dense(graph)
    return [
        LayerRow(
            name=layer.name,
            op=layer.op,
            block=spec.block(layer.module) if spec else UNNAMED,
            inputs=layer.inputs,
            in_shape=(layer.in_shapes or (layer.out_shape,))[0],
            out_shape=layer.out_shape,
            kernel=layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            epilogue=tuple(str(step) for step in layer.epilogue),
            macs=layer.macs,
            params=params[layer.name],
            receptive_field=(
                fields[layer.name].rows.size_within(graph.input_shape[1]),
                fields[layer.name].columns.size_within(graph.input_shape[2]),
            ),
            receptive_stride=fields[layer.name].stride,
            transposed=layer.transposed,
            dense=dense.get(layer.name) or "",
            operator=layer.foreign.name if layer.foreign else "",
        )
        for layer in graph.layers
    ]


def block_sums(rows: Sequence[LayerRow]) -> dict[str, BlockSum]:
    """Sums by block, in the order the blocks first appear."""
    blocks = dict.fromkeys(row.block for row in rows)
    return {block: _sum([row for row in rows if row.block == block]) for block in blocks}


def _sum(rows: Sequence[LayerRow]) -> BlockSum:
    return BlockSum(sum(row.macs > 0 for row in rows), sum(row.macs for row in rows), sum(row.params for row in rows))


def layers(model: str, size: tuple[int, int] | None = None) -> list[LayerRow]:
    """The fused layers of a registered network.

    Args:
        size: input (height, width) in pixels (default: the model's own).

    Raises:
        UsageError: an unknown model, or a size it cannot take.
    """
    return layer_rows(_trace(model, size), model_spec(model))


def _trace(model: str, size: tuple[int, int] | None) -> Graph:
    from models.frontend.trace import trace

    spec = model_spec(model)
    check_only_size(spec, size or spec.size)
    if size and min(size) < spec.stride:
        raise UsageError(f"size {size[0]}x{size[1]} is smaller than {model}'s stride; give at least {spec.stride}")
    return trace(create_model(model), spec.input_shape(size), model)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(value) for value in shape)


def _axes(values: Sequence[float]) -> str:
    """One number where both axes agree."""
    first, second = (f"{value:g}" for value in values)
    return first if first == second else f"{first}x{second}"


def _cells(row: LayerRow) -> tuple[object, ...]:
    return (
        row.name,
        f"{row.op} ({'transposed' if row.transposed else row.operator})" if row.transposed or row.operator else row.op,
        row.block,
        _shape(row.in_shape),
        _shape(row.out_shape),
        _axes(row.kernel),
        _axes(row.stride),
        _axes(row.dilation),
        row.groups,
        ",".join(row.epilogue),
        f"{row.macs / 1e6:.1f}",
        row.params,
        _axes(row.receptive_field),
        _axes(row.receptive_stride),
    )


HEADER = (
    *("layer", "op", "block", "input", "output", "kernel", "stride", "dilation", "groups", "epilogue"),
    *("MMACs", "params", "field", "step"),
)


def _print(rows: Sequence[LayerRow], residency: Residency) -> None:
    cli.print_table(HEADER, [_cells(row) for row in rows])
    print()
    total = _sum(rows)
    cli.print_table(
        ("block", "layers", "GMACs", "%", "params M"),
        [
            (
                block,
                block_sum.layers,
                f"{block_sum.macs / 1e9:.3f}",
                f"{100 * block_sum.macs / (total.macs or 1):.1f}",
                f"{block_sum.params / 1e6:.3f}",
            )
            for block, block_sum in {**block_sums(rows), "total": total}.items()
        ],
    )
    print("field: input pixels a cell can depend on; step: input pixels from cell to cell. Batch norms are folded.")
    print(_prunable_text(rows))
    print(residency)
    for line in (*residency.cuts, *residency.fallback):
        print(line)


def _prunable_text(rows: Sequence[LayerRow]) -> str:
    """How many convolutions may be pruned, and a line for each reason why others stay dense."""
    convolutions = [row for row in rows if row.op == "conv"]
    reasons: dict[str, list[str]] = {}
    for row in convolutions:
        if row.dense:
            reasons.setdefault(row.dense, []).append(row.name)
    may = sum(not row.dense for row in convolutions)
    lines = [f"  {why} ({len(names)}): {list_names(names)}" for why, names in reasons.items()]
    dense = "; the others stay dense:" if lines else ""
    return "\n".join([f"{may} of {len(convolutions)} convolutions may be pruned{dense}", *lines])


def make_parser() -> argparse.ArgumentParser:
    parser = cli.parser("models.layers", "Show a network's fused layers: shapes, MACs, block, receptive field.")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    add_trust_flag(parser)
    parser.add_argument(
        "--size", nargs="+", metavar="HxW", help="input HEIGHTxWIDTH (or HEIGHT WIDTH; default: the model's own)"
    )
    return parser


def main(arguments: argparse.Namespace) -> int:
    spec = model_spec(arguments.model)
    size = cli.image_size("x".join(arguments.size)) if arguments.size else spec.size
    from models.frontend.results.residency import residency_of_layers

    graph = _trace(arguments.model, size)
    rows, residency = layer_rows(graph, spec), residency_of_layers(graph.layers, graph.answer)
    if arguments.json:
        cli.print_json(
            {
                "model": arguments.model,
                "size": size,
                "macs": sum(row.macs for row in rows),
                "params": sum(row.params for row in rows),
                "blocks": {block: asdict(block_sum) for block, block_sum in block_sums(rows).items()},
                "layers": [asdict(row) for row in rows],
                "residency": residency.to_dict(),
            }
        )
    else:
        _print(rows, residency)
    return 0


if __name__ == "__main__":
    sys.exit(cli.run(main, make_parser()))
