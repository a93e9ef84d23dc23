"""Request: what an optimization is asked for, as plain values that were looked at before any work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.linking.hosts import LOADERS
from codegen.lowering.sizes import check_sizes
from devices.profile import ITEM_BYTES
from devices.timing.cooling import CoolingSettings
from fleetpose.cli import image_size
from fleetpose.errors import UsageError, unknown_name
from fleetpose.options import COUNT, POSITIVE, SEED, check_numbers, option
from fleetpose.outputs import lies_in
from latency.optimize.frontier.speedups import check_speedups, parse_speedup
from latency.planning.choosing import ANY_GAIN, Goal
from latency.planning.gains import USUAL, Caution
from latency.planning.losses import read_losses
from models.accuracy.lost import annotations_of
from models.accuracy.protocol import check_annotated
from models.annotations.reading import ANNOTATIONS
from models.plans.plan import Plan
from models.plans.sparsity import Sparsity
from models.pose.decoding.decoders import decoder_for
from models.prune.reconstruction.calibration import find_photographs
from models.prune.settings import EFFORT, RECONSTRUCTIONS, RECOVERY, RECOVERY_MINUTES
from models.resolve import model_spec
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from models.prune.learning import Learning

#: parts of the budget: tuning, collecting, confirming what predictions leave open, and training
SHARES = {"tune": 0.3, "collect": 0.4, "decide": 0.1, "prune": 0.2}
#: stages that take what they are given
BUDGETED = (*SHARES, "sensitivity", "losses")
#: in place of a sensitivity file: nothing is measured, a hand rule decides
BY_RULE = Path("rule")
#: a training shorter than this is not begun
LEAST_MINUTES = 0.1


@dataclass(frozen=True)
class Request:
    """What is to be made of a network for a device.

    Attributes:
        model: a registered name, or a replaced network's .json.
        folder: everything is written there.
        weights: file; None is what a network of your own brings, else random weights, for times only.
        goal: of the plan; an empty one decides every layer for itself.
        caution: how sure a gain has to be before a layer is pruned.
        frontier: speed-ups of several plans in place of a goal; `speedups.AUTO` chooses them; (): one plan.
        size: height and width.
        dtype: what the network computes in on the device.
        sparsities: that layers may have; (): a set for each.
        tune: extend the tuned data by what of the network it lacks, before layers are timed.
        train: after reconstruction, by what the budget has for it.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS; None: `host_for` the device.
        budget_minutes: cut by SHARES; None: until all is measured, no training.
        cooling: when the device is too hot to be timed, and how long it is waited for.
        sustained: minutes that both networks run on after they were compared; None: not at all.
    """

    model: str
    folder: Path
    weights: Path | None = option(
        None,
        "weights file (default: a network's own, else random, for times only)",
        metavar="FILE",
    )
    goal: Goal = ANY_GAIN
    caution: Caution = USUAL
    frontier: tuple[float, ...] = option(
        (), "several plans, one for each of these speed-ups (or auto), compared in one run", type=parse_speedup,
        nargs="+", metavar="X",
    )  # fmt: skip
    size: tuple[int, int] | None = option(
        None, "input to serve (default: the model's own)", type=image_size, metavar="HxW"
    )
    dtype: str = option("float32", "of activations and weights on the device", choices=tuple(ITEM_BYTES))
    plan: Path | None = option(None, "take this plan instead of deciding", flag="--network-plan", metavar="FILE")
    sparsities: tuple[Sparsity, ...] = ()
    sensitivity: Path | None = option(
        None,
        "file of what zeros cost, or rule: a hand rule, the last resort (default: measured on --data, else on pictures "
        "that other packages bring; by the rule for random weights)",
        metavar="FILE",
    )
    sensitivity_minutes: float = option(
        5.0,
        "minutes on this machine for measuring what zeros do to the outputs, and as many for plans that are evaluated",
        type=POSITIVE,
        metavar="N",
    )
    data: tuple[Path, ...] = option(
        (), "photographs to prune and train on (default: none; the smallest weights are removed)", metavar="DIR"
    )
    photographs: int = option(32, "of --data that layers are reconstructed on", type=COUNT)
    reconstruction: str = option("full", EFFORT, choices=RECONSTRUCTIONS)
    recovery_minutes: float = option(RECOVERY_MINUTES, RECOVERY, metavar="N")
    val: Path | None = option(None, "COCO folder that accuracy is judged on; not of --data", metavar="DIR")
    image: Path | None = option(None, "photograph of people (default: scikit-image's astronaut)", metavar="PHOTO")
    tune: bool = option(True, "use the tuned data that there are, without tuning")
    train: bool = option(True, "only reconstruct layers on --data, do not train")
    host: str | None = None
    around: int = option(40, "how many layers like the network's are timed, too")
    rounds: int = option(15, "samples of each variant, and of both networks", type=COUNT)
    wait_secs: float = option(20.0, "how long to wait for a device that has slowed down")
    cooling: CoolingSettings = field(default_factory=CoolingSettings)
    budget_minutes: float | None = option(
        60.0,
        "minutes for tuning, timing and training together; other stages have no limit",
        type=POSITIVE,
        metavar="N",
    )
    sustained: float | None = option(
        None, "also run both networks in turn for so many minutes: the first and the last of them are told apart (10)",
        type=POSITIVE, metavar="MINUTES",
    )  # fmt: skip
    seed: int = option(0, "seed of all that is drawn", type=SEED)

    @property
    def spec(self) -> ModelSpec:
        return model_spec(self.model)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.size or self.spec.size

    @property
    def served(self) -> ModelSpec:
        """The spec with the input's size in place of its own: what layers are measured and reconstructed at."""
        return replace(self.spec, size=self.input_size)

    @property
    def by_rule(self) -> bool:
        """Whether a hand rule is to say what zeros cost."""
        return self.sensitivity == BY_RULE

    @property
    def sensitivity_file(self) -> Path | None:
        """The file that says what zeros cost; None where it is measured or a rule says it."""
        return None if self.by_rule else self.sensitivity

    def secs(self, stage: str) -> float | None:
        """A stage's part of the budget; what tuning or training has no use for is collecting's. None: no end.

        Measuring sensitivity has a budget of its own, and so have plans that are evaluated.
        """
        if stage in ("sensitivity", "losses"):
            return 60 * self.sensitivity_minutes
        if self.budget_minutes is None:
            return None
        share = SHARES[stage]
        if stage == "collect":
            share += (0.0 if self.trains else SHARES["prune"]) + (0.0 if self.tune else SHARES["tune"])
        return 60 * self.budget_minutes * share

    @property
    def trains(self) -> bool:
        """Whether there is anything to train on, and training is wanted."""
        return bool(self.data) and self.train

    @property
    def training_minutes(self) -> float | None:
        """How long the pruned network learns after reconstruction; None: not at all."""
        secs = self.secs("prune") if self.trains else None
        return secs / 60 if secs is not None and secs >= 60 * LEAST_MINUTES else None

    @property
    def learning(self) -> Learning:
        """What follows reconstruction."""
        from models.prune.learning import Learning

        return (
            Learning.of(self.spec, self.training_minutes, self.recovery_minutes, self.seed) if self.data else Learning()
        )

    def check(self) -> None:
        """Raise UsageError for values, files and combinations that make no sense, before any work."""
        check_sizes(self.spec, [self.input_size])
        self._check_numbers()
        self._check_files()
        self._check_folder()
        if self.plan is not None:
            Plan.load(self.plan, self.model)
            if self.goal != ANY_GAIN or self.sensitivity is not None:
                raise UsageError("--network-plan is what a goal and --sensitivity would decide; leave these out")
        if self.sensitivity_file is not None:
            read_losses(self.sensitivity_file, self.model, (), self.spec.blocks)
        if self.val is not None:
            decoder_for(self.spec.outputs, self.spec.decoding)

    def _check_numbers(self) -> None:
        if self.host is not None and self.host not in LOADERS:
            raise unknown_name("host", self.host, LOADERS)
        if self.dtype not in ITEM_BYTES:
            raise unknown_name("dtype", self.dtype, ITEM_BYTES)
        self.goal.check()
        self.caution.check()
        check_speedups(self.frontier)
        if self.frontier and (self.goal != ANY_GAIN or self.plan is not None):
            raise UsageError("--frontier is of goals of its own; leave out other goals and --network-plan")
        if self.frontier and self.sustained is not None:
            raise UsageError("--sustained runs one plan's network beside the dense one; leave out --frontier")
        check_numbers(self)

    def _check_folder(self) -> None:
        """Nothing that is read lies where everything is written, nor the other way round."""
        for flag, path in (("--weights", self.weights), ("--image", self.image), ("--network-plan", self.plan),
                           ("--sensitivity", self.sensitivity_file)):  # fmt: skip
            if path is not None and lies_in(path, self.folder):
                raise UsageError(f"{flag} {path} lies in -o {self.folder}, whose files are replaced; copy it elsewhere")
        for flag, folder in (*(("--data", folder) for folder in self.data), ("--val", self.val)):
            if folder is not None and lies_in(self.folder, folder):
                raise UsageError(f"-o {self.folder} lies in {flag} {folder}, which is read; give another folder")

    def _check_files(self) -> None:
        for name in ("weights", "image", "sensitivity", "plan"):
            path = self.sensitivity_file if name == "sensitivity" else getattr(self, name)
            if path is not None and not path.is_file():
                flag = "network-plan" if name == "plan" else name
                raise UsageError(f"--{flag} {path}: no such file")
        for name, folders in (("data", self.data), ("val", (self.val,) if self.val else ())):
            for folder in folders:
                if not folder.is_dir():
                    raise UsageError(f"--{name} {folder}: no such folder")
        if self.val is not None and not (self.val / ANNOTATIONS).is_file():
            raise UsageError(f"--val {self.val} has no {ANNOTATIONS}; give a COCO folder")
        if self.val is not None:
            check_annotated(self.val)
        for folder in self.data:
            annotations_of(find_photographs([folder]))
