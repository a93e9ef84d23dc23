"""The accuracy of a torch network on annotated photographs, by Lightweight OpenPose's protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.accuracy.oks import Evaluation, evaluate_keypoints
from models.pose.decoding.decoders import decoder_for
from models.pose.person import Person
from models.preprocess import fit, free_size
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
    import torch
    from torch.utils import _pytree as pytree

    decode = decoder_for(spec.outputs).decode

    def people_of(image: np.ndarray) -> list[Person]:
        size = free_size((image.shape[0], image.shape[1]), spec.size[0], spec.stride)
        tensor, placement = fit(image, size, spec.preprocessing)
        with torch.inference_mode():
            maps = pytree.tree_leaves(network(torch.from_numpy(tensor)))
        return decode({name: tensor.numpy() for name, tensor in zip(spec.outputs, maps, strict=True)}, placement)

    folder = Path(data)
    return evaluate_keypoints(folder / "person_keypoints.json", folder / "images", people_of, progress)
