"""Which device and GPU times are of, where a file does not say it."""

from __future__ import annotations

from dataclasses import dataclass

from fleetpose.errors import UsageError


@dataclass(frozen=True)
class MeasuredOn:
    """What a user says of files that do not say where they were measured.

    Attributes:
        gpu: name of the GPU, "Adreno 650" or "Mali-G76 MP12"; "" where nothing was said.
        device: name of the device; "": the one that the file names, or else made of the GPU's name.
    """

    gpu: str = ""
    device: str = ""

    def named(self, path: str, what: str, device: str = "", gpu: str = "") -> MeasuredOn:
        """The device and the GPU of times in a file.

        Args:
            what: the file, in words: "a log of AutoTVM".
            device, gpu: what the file says of them; what the user says goes first.

        Raises:
            UsageError: nobody says which GPU it was.
        """
        name = self.gpu or gpu
        if not name:
            raise UsageError(
                f"{path} is {what}, which does not say which GPU its times are of; add --gpu NAME, such as "
                '--gpu "Adreno 650" or --gpu "Mali-G76 MP12"'
            )
        return MeasuredOn(name, self.device or device or "-".join(name.lower().split()))
