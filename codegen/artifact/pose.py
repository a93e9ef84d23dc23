"""A photograph through an artifact to people: preprocessing, inference, decoding, each timed. Torch-free."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from codegen.artifact.loaded import Artifact
from codegen.artifact.manifest import Manifest
from fleetpose.codec import decode
from fleetpose.errors import UsageError
from models.pose.decoding.decoders import decoder_for
from models.pose.person import Person
from models.preprocess import Placement, Preprocessing, choose_size, fit


@dataclass(frozen=True)
class PoseResult:
    """People found in one photograph.

    Attributes:
        people: best first, in the photograph's pixels.
        input_size: (height, width) of the network's input that was chosen.
        decode_secs: maps to people, the median of several times; None where nothing was decoded.
    """

    people: list[Person]
    input_size: tuple[int, int]
    decode_secs: float | None


def check_pose(manifest: Manifest) -> None:
    """Raises UsageError unless the artifact's network is one whose outputs a decoder reads."""
    try:
        decoder_for([output.name for output in manifest.entries[0].outputs], manifest.decoding)
    except UsageError as error:
        raise UsageError(f"{manifest.model} is no pose network: {error}") from None
    if not manifest.preprocessing:
        raise UsageError(f"{manifest.model} says nothing of its input's preprocessing; build it again to run it")
    channels, given = manifest.entries[0].input.shape[1], decode(Preprocessing, manifest.preprocessing).count
    if channels != given:
        raise UsageError(f"{manifest.model} takes {channels} channels, but a photograph is preprocessed to {given}")


def prepare(manifest: Manifest, image: np.ndarray) -> tuple[np.ndarray, Placement]:
    """The input of the best-fitting size the artifact was built for: (1, C, H, W), and where the photograph lies."""
    size = choose_size((image.shape[0], image.shape[1]), manifest.sizes)
    return fit(image, size, decode(Preprocessing, manifest.preprocessing))


def decode_maps(manifest: Manifest, maps: dict[str, np.ndarray], placement: Placement) -> list[Person]:
    """People in an artifact's outputs by name; the names, and the manifest, tell how they are grouped."""
    return decoder_for(maps, manifest.decoding).decode(maps, placement)


def find_people(artifact: Artifact, image: np.ndarray, decodes: int = 5) -> PoseResult:
    """People in a photograph, (H, W, 3) uint8 BGR; decoded `decodes` times, because the first time is never typical.

    Raises:
        UsageError: another array, or another kind of network.
    """
    check_pose(artifact.manifest)
    tensor, placement = prepare(artifact.manifest, image)
    maps = artifact.run(tensor)
    taken = []
    for _ in range(decodes):
        started = time.perf_counter()
        people = decode_maps(artifact.manifest, maps, placement)
        taken.append(time.perf_counter() - started)
    return PoseResult(people, placement.input_size, statistics.median(taken))
