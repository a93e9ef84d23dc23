"""One study of pruning: its cells, the weights and evaluation of each (kept in files), and the rows of its table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pruning.drawing import METHODS
from fleetpose.files import atomic_output
from models.accuracy.bootstrap import bootstrap_ap
from models.accuracy.matches import ImageResult, Matches
from models.accuracy.oks import Evaluation
from models.accuracy.protocol import evaluate_network
from models.allocate import make_allocated_plan, uniform_plan
from models.frontend.trace import trace
from models.graph.network import Graph
from models.plans.plan import Plan
from models.prune.pruning import prune
from models.prune.reconstruction.calibration import calibration_inputs, learning_photographs
from models.prune.response.curves import read_divergence
from models.prune.settings import PruneFiles, PruneSettings, Strength, recovery_settings
from models.resolve import create_model, model_spec
from models.train.data.photographs import read_photographs
from models.train.settings import TrainSettings
from models.zoo.weights import read_tensors, save_weights

#: methods that do not train
UNTRAINED = ("magnitude", "reconstruction")
SHARING = ("uniform", "allocated")


@dataclass(frozen=True)
class StudyCell:
    """One pruned network. minutes: of training; 0 for methods that do not train."""

    family: str
    ratio: float
    sharing: str
    method: str
    minutes: float

    @property
    def name(self) -> str:
        """Of its files."""
        length = f"-{self.minutes:g}min" if self.minutes else ""
        return f"{self.family.replace(':', '_')}-{self.ratio:g}x-{self.sharing}-{self.method}{length}"

    def save(self, folder: Path) -> None:
        """Note that the cell is finished."""
        (folder / f"{self.name}.cell.json").write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def finished_cells(folder: Path) -> list[StudyCell]:
    """Every finished cell, in the order of the table."""
    cells = [StudyCell(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.cell.json")]
    return sorted(cells, key=lambda c: (c.family, c.sharing, [*METHODS].index(c.method), c.minutes, c.ratio))


@dataclass(frozen=True)
class PruningStudy:
    """What all cells of a study have in common.

    Attributes:
        model: a registered network, and the file of its trained weights.
        data: folders of photographs to prune on.
        val: COCO folder to judge by.
        out: folder of everything that is written.
        sensitivity: file for allocated zeros.
        photographs: how many of `data` layers are reconstructed on.
        training: how methods that train do so; a cell says for how long.
        strength: of methods that find their zeros while they train.
    """

    model: str
    weights: Path
    data: Sequence[Path]
    val: Path
    out: Path
    sensitivity: Path | None
    photographs: int
    training: TrainSettings
    strength: Strength

    def plan(self, cell: StudyCell, graph: Graph) -> Plan:
        """The plan of a cell, which cells of other methods share; kept in the folder."""
        path = self.out / f"{cell.family.replace(':', '_')}-{cell.ratio:g}x-{cell.sharing}.json"
        if not path.exists():
            if cell.sharing == "allocated":
                assert self.sensitivity is not None
                families = read_divergence(self.sensitivity, self.model, cell.family)
                make_allocated_plan(graph, families, cell.ratio).save(path)
            else:
                uniform_plan(graph, cell.family, cell.ratio).save(path)
        return Plan.load(path, self.model)

    def prune(self, cell: StudyCell) -> Path:
        """The weights of a cell, made where they are not there yet."""
        weights = self.out / f"{cell.name}.safetensors"
        if weights.exists():
            return weights
        spec, seed = model_spec(self.model), self.training.seed
        network = create_model(self.model, self.weights)
        graph = trace(network, (3, *spec.size), self.model)
        inputs = data = training = recovery = None
        photographs: list[Path] = []
        if cell.method != "magnitude":
            inputs = calibration_inputs(spec, self.data, self.photographs, seed)
        if cell.method == "recovery":
            recovery = recovery_settings(cell.minutes, seed)
            photographs = learning_photographs(self.data, self.photographs, seed)
        elif cell.method not in UNTRAINED:
            data = read_photographs(self.data, unlabelled=True)
            training = replace(self.training, minutes=cell.minutes)
        files = PruneFiles.beside(weights)
        settings = PruneSettings(METHODS[cell.method], training, self.strength, seed, recovery=recovery)
        prune(
            network, graph, spec, self.plan(cell, graph), settings, inputs=inputs, photographs=photographs, data=data,
            files=files,
        )  # fmt: skip
        save_weights(network, weights)
        files.remove(settings, bool(photographs))
        return weights

    def evaluate(self, weights: Path) -> Evaluation:
        """The evaluation of a weight file; kept in the folder."""
        kept = self.out / f"{weights.stem}.npz"
        if not kept.exists():
            evaluation = evaluate_network(create_model(self.model, weights), model_spec(self.model), self.val)
            with atomic_output(kept) as temporary, open(temporary, "wb") as stream:
                np.savez(stream, **_arrays(evaluation))
        return _evaluation(dict(np.load(kept)))

    def row(self, cell: StudyCell, dense: Evaluation) -> dict[str, Any]:
        """A row of the table."""
        weights = self.out / f"{cell.name}.safetensors"
        return row(cell, self.evaluate(weights), dense, _ratio(weights))


def _arrays(evaluation: Evaluation) -> dict[str, np.ndarray]:
    images = evaluation.per_image
    results = {
        f"{name}.{i}": getattr(r.matches, name)
        for i, r in enumerate(images)
        for name in ("scores", "matched", "ignored")
    }
    ids = np.array([(r.image_id, r.people, r.truths) for r in images])
    return {"metrics": np.array([evaluation.ap, evaluation.ap_50, evaluation.ar], float), "ids": ids, **results}


def _evaluation(arrays: dict[str, np.ndarray]) -> Evaluation:
    images = [
        ImageResult(
            int(key),
            "",
            int(people),
            Matches(int(truths), *(arrays[f"{n}.{i}"] for n in ("scores", "matched", "ignored"))),
        )
        for i, (key, people, truths) in enumerate(arrays["ids"])
    ]
    ap, ap_50, ar = arrays["metrics"].tolist()
    return Evaluation(ap, ap_50, None, None, None, ar, tuple(images))


def row(cell: StudyCell, evaluation: Evaluation, dense: Evaluation, reached: float) -> dict[str, Any]:
    """A row of the table."""
    low, high = bootstrap_ap(evaluation)
    gains = bootstrap_ap(evaluation, dense)
    lost = ((dense.ap or 0) - (evaluation.ap or 0), -gains[1], -gains[0])
    numbers = (evaluation.ap or 0.0, low, high, *lost)
    named = zip(("ap", "low", "high", "lost", "lost_low", "lost_high"), numbers, strict=True)
    what = {"family": cell.family, "ratio": cell.ratio, "reached": f"{reached:.3f}", "zeros": cell.sharing}
    return {**what, "method": cell.method, "minutes": cell.minutes, **{key: f"{value:.3f}" for key, value in named}}


def _ratio(weights: Path) -> float:
    """Dense parameters / nonzero ones, counted in the file."""
    tensors = read_tensors(weights).values()
    return sum(t.numel() for t in tensors) / sum(int((t != 0).sum()) for t in tensors)
