"""Running an artifact on a device: needs TVM's runtime, not its compiler, and no torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.artifact.device_fit import check_device
from codegen.artifact.kernel_log import PROFILE_START, PROFILE_STOP, KernelLog, keeps_kernel_log, read_log
from codegen.artifact.manifest import Entry, Manifest
from codegen.artifact.reading import read_manifest
from devices.timing.measure import measure
from fleetpose.disk.refusals import text_name
from fleetpose.errors import DeviceUnreachable, FleetposeError, UsageError, first_line, reason
from models.graph.answer import apply_view
from models.zoo.stored.safetensors_header import check_safetensors

if TYPE_CHECKING:
    from devices.session import Session


class ArtifactError(FleetposeError):
    """The code of an artifact fails, or is not what its manifest says."""

    exit_status = 1


class Artifact:
    """A built network, loaded on a device.

    Args:
        path: the shared object, whose manifest stands beside it, or a package, which has its own inside.
        session: an open device session; must outlive the artifact.
        force_device: load it although it was built for another device or host.

    Raises:
        UsageError: a missing or damaged file, or another device or host than it was built for.
        ArtifactError: the device refuses to load it, or it is not what its manifest says.
        DeviceUnreachable: the device went away.
    """

    def __init__(self, path: Path | str, session: Session, force_device: bool = False) -> None:
        self.path, self.session = Path(path), session
        self.manifest: Manifest = read_manifest(self.path)
        check_device(self.path, self.manifest, session, force_device)
        machine = self.manifest.elf.get("machine", "any processor")
        built_for = f"; it was built for host {self.manifest.host} ({machine})"
        with self._at_work("loading", built_for):
            self._module = session.load(self.path)
        self._load()

    @contextmanager
    def _at_work(self, doing: str, hint: str = "") -> Iterator[None]:
        """Whatever the code makes TVM raise is an ArtifactError, or DeviceUnreachable where the device is gone."""
        try:
            with self.session.guard(f"{doing} {self.path.name}"):
                yield
        except FleetposeError:
            raise
        except Exception as error:
            said = f"{reason(error, 1)[:300]}{hint}"
            if not self.session.alive():
                raise DeviceUnreachable(
                    f"device {self.session.spec!r} went away while {doing} {self.path.name}: {said}"
                ) from error
            raise ArtifactError(f"{doing} {self.path} failed: {said}") from error

    def reload(self) -> Artifact:
        """The artifact once more, in other memory of the device; its code is not sent again."""
        other = copy.copy(self)
        other._load()
        return other

    def _load(self) -> None:
        from tvm.runtime.vm import VirtualMachine

        parameters = self._read_parameters()
        with self._at_work("loading"):
            memory = "naive" if self.manifest.textures else None  # TVM's pooled memory knows no images
            self._machine = VirtualMachine(self._module, self.session.device, memory)
            for entry in self.manifest.entries:
                self._check_entry(entry, 1 + len(parameters))
            self._parameters = [self._upload(array) for array in parameters]

    def _check_entry(self, entry: Entry, arguments: int) -> None:
        """Raise ArtifactError unless the code has an entry's function, of so many arguments."""
        takes = self._machine.module["get_function_arity"](entry.name)
        if takes != arguments:
            raise ArtifactError(f"{self.path}: {entry.name} takes {takes} arguments, its manifest says {arguments}")

    def _read_parameters(self) -> Sequence[np.ndarray]:
        if not self.manifest.parameters:
            return ()
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.path.parent / self.manifest.parameters_file["file"]
        try:
            check_safetensors(path)
            with text_name(path) as name:
                stored = load_file(name)
            return [stored[parameter] for parameter in self.manifest.parameters]
        except (SafetensorError, OSError, ValueError, LookupError, AttributeError) as error:
            raise UsageError(f"{path} does not hold the parameters of {self.path.name}: {first_line(error)}") from error

    def _upload(self, array: np.ndarray) -> Any:
        import tvm

        return tvm.runtime.tensor(np.ascontiguousarray(array), self.session.device)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One inference for each picture.

        Args:
            tensor: (N, C, H, W) float32; H x W must be a size the artifact was built for.

        Returns:
            Output name -> float32 of the shape that the torch module returns; for a pose network's maps (N, C, H, W).
            Outputs of several pictures are joined along the first axis, which must be the batch's.

        Raises:
            UsageError: another shape.
            DeviceUnreachable: the device went away.
        """
        if tensor.ndim == 4 and len(tensor) > 1:
            return self._run_batch(tensor)
        entry = self._prepare(tensor)
        with self._at_work("running"):
            self._machine.invoke_stateful(entry.name)
            return self._outputs(entry)

    def _run_batch(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """Picture after picture: a device that one picture keeps busy takes no longer for each of several."""
        answers = [self.run(tensor[number : number + 1]) for number in range(len(tensor))]
        fixed = {output.name for output in self.manifest.entry((tensor.shape[2], tensor.shape[3])).fixed}
        for name, array in answers[0].items():
            if name not in fixed and array.shape[:1] != (1,):
                shape = "x".join(map(str, array.shape)) or "no axis"
                raise UsageError(f"output {name!r} has no axis for pictures ({shape}); run them one by one")
        return {
            name: array if name in fixed else np.concatenate([answer[name] for answer in answers])
            for name, array in answers[0].items()
        }

    def _prepare(self, tensor: np.ndarray) -> Entry:
        if tensor.ndim != 4:
            raise UsageError(f"expected (1, C, H, W), got {tensor.shape}")
        entry = self.manifest.entry((tensor.shape[2], tensor.shape[3]))
        if tensor.shape != entry.input.shape:
            raise UsageError(f"expected {entry.input.shape}, got {tensor.shape}")
        with self._at_work("sending the input to"):
            self._machine.set_input(entry.name, self._upload(tensor.astype(np.float32)), *self._parameters)
        return entry

    def _outputs(self, entry: Entry) -> dict[str, np.ndarray]:
        outputs = self._machine.get_outputs(entry.name)
        tensors = list(outputs) if isinstance(outputs, tuple) else [outputs]
        given = [f"{'x'.join(map(str, tensor.shape))} {tensor.dtype}" for tensor in tensors]
        wanted = [f"{'x'.join(map(str, spec.shape))} {spec.dtype}" for spec in entry.outputs]
        if given != wanted:
            raise ArtifactError(
                f"{self.path}: {entry.name} gives {_listed(given)}, its manifest says {_listed(wanted)}"
            )
        maps = {
            spec.name: apply_view(tensor.numpy(), spec.view)
            for spec, tensor in zip(entry.outputs, tensors, strict=True)
        }
        return maps | {fixed.name: np.array(fixed.values, fixed.dtype).reshape(fixed.shape) for fixed in entry.fixed}

    def call_arguments(self, tensor: np.ndarray) -> dict[str, Any]:
        """What `devices.timing.measure.measure` is to be given to time inferences on `tensor`, (1, C, H, W) float32.

        The input stays on the device: sending it and fetching the outputs are not timed.
        """
        entry = self._prepare(tensor)
        with self._at_work("preparing to measure"):
            name, arguments = f"timed_{entry.name}", [self._upload(tensor.astype(np.float32)), *self._parameters]
            self._machine.save_function(entry.name, name, *arguments, include_return=False)
        return {"function": self._machine, "entry": name}

    def log_kernels(self, call: Mapping[str, Any], size: tuple[int, int]) -> KernelLog:
        """One inference by the wall clock, and what the device's event clock says of the kernels in it.

        Args:
            call: what `call_arguments` gave.
            size: (height, width) of its input.

        Raises:
            FleetposeError: the device's server keeps no log of kernels, or it does not match the manifest, or the
                inference failed.
        """
        if not keeps_kernel_log(self.session):
            raise FleetposeError("the device's server has no kernel log; offer it with python -m devices.serve")
        self.session.function(PROFILE_START)()
        try:
            timing = measure(self.session, **call, warmup=0, repeats=1, number=1)
        finally:
            launches = self.session.ask(PROFILE_STOP)
        if timing.wall_median_secs is None:
            raise FleetposeError(f"timing {self.path} failed: {timing.error}")
        return read_log(self.manifest.entry(size).layers, launches, timing.wall_median_secs)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts)[:200] or "nothing"
