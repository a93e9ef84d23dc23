"""Whole networks compiled: the one place where a network goes through TVM's compiler."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

from codegen.artifact.manifest import Manifest
from codegen.linking.hosts import AGENT
from codegen.linking.link import export_shared
from codegen.lowering.hosts import artifact_suffix
from codegen.lowering.network import NetworkModule, Options, lower_network
from codegen.lowering.packages import call_lists, compile_package, package_bytes
from codegen.lowering.target import make_target
from devices.profile import Profile
from devices.session import Session
from devices.timers import TimedCall
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.interrupt import hold_interrupt
from fleetpose.progress import Report, no_report
from models.graph.network import Graph


@dataclass(frozen=True)
class CompiledNetwork:
    """A network compiled for a device.

    Attributes:
        lowered: the network's kernels and entries.
        executable: what TVM made of them, or, for the agent, their kernels and launches (CompiledKernels).
        host: what loads it, one of codegen.linking.hosts.LOADERS.
    """

    lowered: NetworkModule
    executable: Any
    host: str

    @property
    def is_package(self) -> bool:
        """Whether it is a package, in which the weights are."""
        return self.host == AGENT

    @property
    def launches(self) -> int:
        """Kernels launched for an inference at the first input size."""
        return self.lowered.entries[0].launches

    def export(self, path: Path, linker: str = "lld") -> None:
        """Write the network as a shared object. Raises LinkError, OSError, and UsageError for a full disk."""
        if linker == "lld" or self.is_package:
            shutil.copyfile(self._linked, path)
            return
        with WorkFolder() as folder:  # linkers have hidden files of their own
            export_shared(self.executable, folder / path.name, self.host, linker)
            shutil.copyfile(folder / path.name, path)

    def package(self, manifest: Manifest | None = None) -> bytes:
        """The network as a package that says of itself what the manifest says; it must have been compiled as one."""
        return package_bytes(self.lowered, self.executable, manifest, call_lists(self.lowered))

    @property
    def _linked(self) -> Path:
        """The file to send, which is linked once, however often the network is sent or written."""
        return self._folder.path / f"network{artifact_suffix(self.host)}"

    @cached_property
    def _folder(self) -> WorkFolder:
        """Has that file, as long as there is the network."""
        folder = WorkFolder()
        path = folder.path / f"network{artifact_suffix(self.host)}"
        if self.is_package:
            path.write_bytes(self.package())
        else:
            export_shared(self.executable, path, self.host)
        return folder

    def answers(self, session: Session, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """The outputs of one inference at each input size, in order: (1, C, H, W) float32.

        Args:
            inputs: (1, C, H, W) float32, one for each input size.

        Raises DeviceUnreachable where the device goes away.
        """
        module = session.load(self._linked)
        with session.guard("running the network"):
            machine = self._machine(module, session)
            parameters = {} if self.is_package else self.lowered.parameters
            constants = [self._upload(array, session) for array in parameters.values()]
            answers = []
            for entry, tensor in zip(self.lowered.entries, inputs, strict=True):
                machine.set_input(entry.name, self._upload(tensor, session), *constants)
                machine.invoke_stateful(entry.name)
                outputs = machine.get_outputs(entry.name)
                tensors = [outputs] if len(entry.outputs) == 1 else list(outputs)
                answers.append([output.numpy() for output in tensors])
            return answers

    def _machine(self, module: Any, session: Session) -> VirtualMachine:
        return VirtualMachine(module, session.device, "naive" if self.lowered.textures else None)

    @staticmethod
    def _upload(array: np.ndarray, session: Session) -> Any:
        return tvm.runtime.tensor(np.ascontiguousarray(array), session.device)

    def load(self, session: Session) -> TimedCall:
        """The network on the session's device, its first input size ready to be timed on an input of zeros.

        Raises DeviceUnreachable where the device goes away.
        """
        return self.send(session)()

    def send(self, session: Session) -> Callable[[], TimedCall]:
        """Send the network to the device once; what comes back loads it, into new memory at each call, as `load` does.

        Raises DeviceUnreachable where the device goes away.
        """
        module = session.load(self._linked)
        entry = self.lowered.entries[0]

        def load() -> TimedCall:
            with session.guard("preparing the network"):
                machine = self._machine(module, session)
                tensor = self._upload(np.zeros(entry.input.shape, np.float32), session)
                machine.save_function(entry.name, "timed", tensor, include_return=False)
            return TimedCall(machine, (), "timed")

        return load


@hold_interrupt()
def compile_network(
    graphs: Sequence[Graph],
    profile: Profile,
    options: Options,
    host: str = "native",
    output_names: Sequence[str] = (),
    report: Report = no_report,
) -> CompiledNetwork:
    """Lower one network, traced at several input sizes, and compile it.

    Args:
        graphs, profile, options, output_names: as for `codegen.lowering.network.lower_network`.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
        report: told each layer that is scheduled, and when TVM starts to compile.

    Raises what `lower_network` and TVM raise.
    """
    target = make_target(profile, host)
    if host == AGENT:
        options = replace(options, weights_inside=False, images_beside=True)  # the package has them, images too
    lowered = lower_network(graphs, profile, options, output_names, report)
    report("compiling")
    executable = compile_package(lowered, profile) if host == AGENT else tvm.compile(lowered.module, target)
    return CompiledNetwork(lowered, executable, host)
