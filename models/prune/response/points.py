"""Single responses: what one sparsity in one layer does to the outputs, measured while there is time, each kept.

Points are asked for layer by layer and sparsity by sparsity, so that somebody who decides by them measures first what
every layer loses at about the same zeros, and then what the decision hangs on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetpose.progress import Report, no_report
from models.graph.network import Graph
from models.plans.sparsity import Sparsity
from models.prune.reconstruction.layerwise import ReconstructionSettings
from models.prune.response.journal import ResponseJournal
from models.prune.response.outputs import layer_points

#: how layers are reconstructed for points, which need the order of layers, not each layer's last bit. Masks and weights
#: overfit 6,000 positions: human_pose_0001's 3x3 layers of 128 channels then seem to lose 1.5 to 2 times as much, its
#: 1x1 layers of 512 channels 1.0 to 1.5 times
QUICK = ReconstructionSettings(samples=24_000, rectify=2, compensate=False, attention=0.0)
#: passes that many layers are measured in, so that what is measured when the time is over lies all over the network
PASSES = 4

#: {layer: {sparsity: divergence}}
Points = dict[str, dict[Sparsity, float]]


@dataclass(eq=False)
class PointMeter:
    """Measures points of one network on given photographs.

    Attributes:
        graph: the network.
        fitted, judged: (N, *graph.input_shape) float32: weights are solved on the first, divergence is of the second.
        journal: what it has is not measured again; what is measured goes into it.
        deadline: on `time.monotonic`, after which no layer is begun; None: there is none.
        points: all that is known.
    """

    graph: Graph
    fitted: np.ndarray
    judged: np.ndarray
    journal: ResponseJournal
    deadline: float | None = None
    points: Points = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.journal.values:
            text, _, layer = key.partition(" in ")
            self.points.setdefault(layer, {})[Sparsity.parse(text)] = self.journal.read(key, float)

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def measure(self, wanted: Mapping[str, Sequence[Sparsity]], report: Report = no_report) -> bool:
        """Measure what is not known yet, until the time is over; whether all of it is known now.

        Args:
            wanted: sparsities that a layer can have, by the name of a prunable convolution, of tied ones the first.
        """
        missing = {
            name: left
            for name, sparsities in wanted.items()
            if (left := [sparsity for sparsity in sparsities if sparsity not in self.points.get(name, {})])
        }
        names = [name for layer in self.graph.layers if (name := layer.name) in missing]
        passes, done = PASSES if len(names) > PASSES else 1, 0
        if not names:
            return True
        for number in range(passes):
            part = {name: missing[name] for name in names[number::passes]}
            if self.over:
                return False
            for name, points in layer_points(self.graph, part, self.fitted, self.judged, QUICK):
                for sparsity, loss in points.items():
                    self.journal.add(f"{sparsity} in {name}", loss)
                    self.points.setdefault(name, {})[sparsity] = loss
                done += 1
                report(f"what zeros in {name} do", done, len(names))
                if self.over:
                    return done == len(names)
        return True
