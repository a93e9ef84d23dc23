"""What a module returns: read once all its calls are, as outputs of a Network, constants and cuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from fleetpose.errors import UsageError
from models.frontend.call import Call
from models.frontend.draft import Draft
from models.frontend.results.cuts import PostProcessing
from models.frontend.results.nesting import output_names
from models.frontend.results.stopping import stop_of
from models.frontend.views.placing import Placing, source_groups, usual_groups
from models.frontend.views.view import TensorView
from models.graph.answer import Answer, Cut, FixedOutput, View, ViewStep, apply_view

#: what a module may return, for errors
RETURNED = "return tensors, in tuples, lists, dictionaries or dataclasses"


@dataclass
class Unreadable:
    """Stands for what a refused operator makes where that is no map, while refusals are gathered."""


def returned_values(program: ExportedProgram, nodes: Mapping[str, fx.Node]) -> dict[str, Any]:
    """What the module returns, by name: a node of the program, a number or text, or None.

    Raises:
        UsageError: the module changes its own state, or returns no tensor.
    """
    returned: dict[str, Any] = {}
    names = output_names(program)
    for spec in program.graph_signature.output_specs:
        if spec.kind is not OutputKind.USER_OUTPUT:
            raise UsageError(f"the module changes its own {spec.target!r}; call eval(), and keep no state")
        number = len(returned)
        name = names[number] if number < len(names) else f"output_{number}"
        node = nodes.get(getattr(spec.arg, "name", ""))
        returned[name] = node if node is not None else getattr(spec.arg, "value", None)
    if not any(isinstance(value, fx.Node) for value in returned.values()):
        raise UsageError(f"the module returns no tensor; {RETURNED}")
    return returned


@dataclass
class ReturnedResults:
    """Collects what the module returns; the first lists are as in Network and Answer.

    Attributes:
        values: what each node of the program was read as.
        source: the tensor that is the input.
        placing: brings views into planes; it has the network's drafts and shapes.
        call_of: the call that a node is.
        nodes: of each of the network's outputs, as the module returns it.
    """

    values: Mapping[fx.Node, Any]
    source: str
    placing: Placing
    call_of: Callable[[fx.Node], Call]
    tensors: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    fixed: list[FixedOutput] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    nodes: list[fx.Node] = field(default_factory=list)

    @property
    def answer(self) -> Answer:
        return Answer(tuple(self.names), tuple(self.views), tuple(self.fixed), tuple(self.cuts))

    def read(
        self,
        returned: Mapping[str, Any],
        bases: Mapping[fx.Node, tuple[fx.Node, View]],
        ended: PostProcessing | None,
    ) -> None:
        """Collect first what the module returns, then what its post-processing reads.

        Args:
            returned: of `returned_values`.
            bases: the node that each returned one is a view of, and the view.
            ended: what is cut off.
        """
        lost = []
        for name, value in returned.items():
            if not isinstance(value, fx.Node):
                if isinstance(value, int | float):
                    self.fixed.append(FixedOutput(name, np.array(value)))
            elif ended and value in ended.nodes:
                lost.append(name)
            else:
                self._add_result(name, value, *bases[value])
        if ended:
            self._add_cut(ended, lost)

    def _add_cut(self, ended: PostProcessing, lost: list[str]) -> None:
        reads = [node for node in ended.reads if isinstance(self.values[node], str | TensorView)]
        placed = [self._place(node) for node in reads]
        for node, (tensor, view) in zip(reads, placed, strict=True):
            self._add(tensor, tensor, view, node)
        lost = ["what the module returns"] if stop_of(lost) else lost
        given = tuple(tensor for tensor, _ in placed)
        self.cuts.append(Cut(ended.op, ended.module, ended.line, tuple(lost), given))

    def _add_result(self, name: str, node: fx.Node, base: fx.Node, view: View) -> None:
        """Add what a node returns, a view of `base`: a constant, or a tensor that some layer makes.

        The input itself is copied first, so that every output is a layer's.
        """
        value = self.values[base]
        if isinstance(value, np.ndarray):
            dtype = str(base.meta["val"].dtype).removeprefix("torch.")
            array = value.reshape(base.meta["val"].shape).astype(np.float32 if "float" in dtype else dtype)
            self.fixed.append(FixedOutput(name, apply_view(array, view)))
            return
        if isinstance(value, Unreadable):
            return
        tensor, first = self._place(base)
        if tensor == self.source:
            tensor = self._copy_of_input()
        self._add(tensor, name, (*first, *view), node)

    def _add(self, tensor: str, name: str, view: View, node: fx.Node) -> None:
        self.tensors.append(tensor)
        self.names.append(name)
        self.views.append(view)
        self.nodes.append(node)

    def _copy_of_input(self) -> str:
        shapes, name = self.placing.shapes, f"{self.source}_copy"
        if name not in shapes:
            self.placing.drafts.append(Draft(name, "elementwise", [self.source], shapes[self.source], kind="copy"))
            shapes[name] = shapes[self.source]
        return name

    def _place(self, node: fx.Node) -> tuple[str, View]:
        """The tensor that a node is, or is a view of, and how it is made of that one on this machine."""
        value = self.values[node]
        if not isinstance(value, TensorView):
            return value, ()
        groups = source_groups(value) or usual_groups(value.sizes)
        order = [axis for group in groups for axis in group]
        tensor = self.placing.place(value, groups, self.call_of(node))
        split = ViewStep("reshape", tuple(value.sizes[axis] for axis in order))
        return tensor, (split, ViewStep("transpose", tuple(order.index(axis) for axis in range(value.rank))))
