"""Names of the LWOP family's weights in files from elsewhere, mapped to this project's module tree.

Each function takes a file's tensors by name and answers them under our names, or None where the file is not in its
layout. They only rename (and fold a bias batch norm makes redundant); shapes are checked by `models.zoo.weights`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch

Tensors = Mapping[str, torch.Tensor]

_UNIT = {"0": "depthwise.conv", "1": "depthwise.bn", "3": "pointwise.conv", "4": "pointwise.bn"}
_CPM_UNIT = {"0": "depthwise.conv", "2": "pointwise.conv"}
_CONV_BN = {"0": "conv", "1": "bn"}
_PAIR = {"0": "depthwise", "1": "pointwise"}
_HEAD = {"h": "heatmaps", "p": "pafs"}

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

#: lightweight-human-pose-estimation.pytorch: every unit is an nn.Sequential of conv, [bn], activation.
_PUBLISHED: tuple[Rule, ...] = (
    (re.compile(r"model\.0\.([01])\.(\w+)"), lambda m: f"model.0.{_CONV_BN[m[1]]}.{m[2]}"),
    (re.compile(r"model\.(\d+)\.([0134])\.(\w+)"), lambda m: f"model.{m[1]}.{_UNIT[m[2]]}.{m[3]}"),
    (re.compile(r"cpm\.(align|conv)\.0\.(\w+)"), lambda m: f"cpm.{m[1]}.conv.{m[2]}"),
    (re.compile(r"cpm\.trunk\.(\d)\.([02])\.(\w+)"), lambda m: f"cpm.trunk.{m[1]}.{_CPM_UNIT[m[2]]}.{m[3]}"),
    (
        re.compile(r"((?:initial_stage|refinement_stages\.\d+)\.(?:heatmaps|pafs)\.\d)\.0\.(\w+)"),
        lambda m: f"{m[1]}.conv.{m[2]}",
    ),
    (re.compile(r"(initial_stage\.trunk\.\d)\.0\.(\w+)"), lambda m: f"{m[1]}.conv.{m[2]}"),
    (re.compile(r"(refinement_stages\.\d+\.trunk\.\d\.initial)\.0\.(\w+)"), lambda m: f"{m[1]}.conv.{m[2]}"),
    (
        re.compile(r"(refinement_stages\.\d+\.trunk\.\d\.trunk\.\d)\.([01])\.(\w+)"),
        lambda m: f"{m[1]}.{_CONV_BN[m[2]]}.{m[3]}",
    ),
)

#: human-pose-estimation-0001 as converted for this project: convolution and bias in `.c`.
_OPEN_MODEL_ZOO: tuple[Rule, ...] = (
    (re.compile(r"model\.0\.c\.(\w+)"), lambda m: f"model.0.conv.{m[1]}"),
    (re.compile(r"model\.(\d+)\.([01])\.c\.(\w+)"), lambda m: f"model.{m[1]}.{_PAIR[m[2]]}.conv.{m[3]}"),
    (re.compile(r"(align|conv)\.c\.(\w+)"), lambda m: f"cpm.{m[1]}.conv.{m[2]}"),
    (re.compile(r"red\.c\.(\w+)"), lambda m: f"cpm.squeeze.conv.{m[1]}"),
    (re.compile(r"trunk\.(\d)\.([01])\.c\.(\w+)"), lambda m: f"cpm.trunk.{m[1]}.{_PAIR[m[2]]}.conv.{m[3]}"),
    (re.compile(r"i_trunk\.(\d)\.c\.(\w+)"), lambda m: f"initial_stage.trunk.{m[1]}.conv.{m[2]}"),
    (re.compile(r"i_([hp])\.(\d)\.c\.(\w+)"), lambda m: f"initial_stage.{_HEAD[m[1]]}.{m[2]}.conv.{m[3]}"),
    (re.compile(r"r_trunk\.(\d)\.sq\.c\.(\w+)"), lambda m: f"refinement_stages.0.trunk.{m[1]}.initial.conv.{m[2]}"),
    (
        re.compile(r"r_trunk\.(\d)\.t\.(\d)\.c\.(\w+)"),
        lambda m: f"refinement_stages.0.trunk.{m[1]}.trunk.{m[2]}.conv.{m[3]}",
    ),
    (re.compile(r"r_([hp])\.(\d)\.c\.(\w+)"), lambda m: f"refinement_stages.0.{_HEAD[m[1]]}.{m[2]}.conv.{m[3]}"),
)


def _rename(tensors: Tensors, rules: tuple[Rule, ...]) -> dict[str, torch.Tensor] | None:
    """`tensors` under the names the rules give; None if fewer than half of them follow the rules."""
    names: dict[str, str] = {}
    for name in tensors:
        for pattern, rename in rules:
            if match := pattern.fullmatch(name):
                names[name] = rename(match)
                break
    if 2 * len(names) < len(tensors):
        return None
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


def from_published(tensors: Tensors) -> dict[str, torch.Tensor] | None:
    """The layout of checkpoint_iter_370000.pth (github.com/Daniil-Osokin/lightweight-human-pose-estimation.pytorch).

    There the refinement's 3x3 convolutions have a bias before their batch norm. Batch norm subtracts it again, so it
    moves into the running mean: (x + b - mean) = (x - (mean - b)).
    """
    renamed = _rename(tensors, _PUBLISHED)
    if renamed is None:
        return None
    for name in [name for name in renamed if name.endswith(".conv.bias")]:
        mean = name.removesuffix("conv.bias") + "bn.running_mean"
        if mean in renamed and renamed[mean].shape == renamed[name].shape:
            renamed[mean] = renamed[mean] - renamed.pop(name)
    return renamed


def open_model_zoo(tensors: Tensors) -> dict[str, torch.Tensor] | None:
    """The layout of human_pose_0001.safetensors: human-pose-estimation-0001, batch norm folded, fp32."""
    return _rename(tensors, _OPEN_MODEL_ZOO)
