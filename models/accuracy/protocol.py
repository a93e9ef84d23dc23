"""The accuracy of a torch network on annotated photographs, by Lightweight OpenPose's protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.accuracy.oks import Evaluation, PeopleOf, evaluate_keypoints
from models.annotations.reading import ANNOTATIONS, read_coco
from models.annotations.turning import photographs_in
from models.pose.decoding.decoders import decoder_for
from models.pose.person import Person
from models.preprocess import Placement, fit, free_size
from models.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn


def evaluate_network(
    network: nn.Module, spec: ModelSpec, data: Path | str, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """OKS metrics of a network: single scale, no flip, the spec's height, the photographs' own widths.

    Args:
        network: in eval mode, float32, on the CPU; its outputs are `spec.outputs`.
        spec: says preprocessing, height, stride, and what the outputs are.
        data: COCO folder with person_keypoints.json and images/.
        progress: called with photographs done and in all.

    Raises:
        UsageError: data that is missing or damaged, or outputs no decoder takes.
    """
    folder = Path(data)
    find = people_finder(network, spec)
    return evaluate_keypoints(folder / ANNOTATIONS, folder / "images", find, progress)


def check_annotated(data: Path | str, decode: bool = False) -> None:
    """Raise UsageError for what `evaluate_network` would refuse of a COCO folder; hours of work may lie before it.

    Args:
        decode: decode every photograph, which is little beside a network's run; else only its head is looked at.
    """
    folder = Path(data)
    photographs_in(read_coco(folder / ANNOTATIONS), folder / "images", decode)


def people_finder(network: nn.Module, spec: ModelSpec) -> PeopleOf:
    """What finds people by the protocol: a photograph, (H, W, 3) uint8 BGR, to people in its pixels.

    Args:
        network: in eval mode, float32, on the CPU; its outputs are `spec.outputs`.

    Raises:
        UsageError: outputs no decoder takes.
    """
    decode, run = decoder_for(spec.outputs, spec.decoding).decode, maps_of(network, spec)

    def people_of(image: np.ndarray) -> list[Person]:
        tensor, placement = fit_free(image, spec)
        return decode(dict(zip(spec.outputs, run(tensor), strict=True)), placement)

    return people_of


def maps_of(network: nn.Module, spec: ModelSpec) -> Callable[[np.ndarray], list[np.ndarray]]:
    """What runs a network in eval mode on the CPU: its input, (1, 3, H, W) float32, to the outputs of `spec`."""
    import torch

    from models.frontend.results.eager import output_runner

    run_torch = output_runner(network, spec.returned, spec.cut)

    def run(tensor: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [output.numpy() for output in run_torch(torch.from_numpy(tensor))]

    return run


def fit_free(image: np.ndarray, spec: ModelSpec) -> tuple[np.ndarray, Placement]:
    """A photograph as the protocol's input of a network, and where the photograph lies in it."""
    shape = (image.shape[0], image.shape[1])
    size = spec.size if spec.fixed_size else free_size(shape, spec.size[0], spec.side_step)
    return fit(image, size, spec.preprocessing)
