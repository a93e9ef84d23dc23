"""Reductions executed with torch, each from its definition: what `models.graph.reference` runs them by."""

from __future__ import annotations

import torch

from models.graph.reduction import AXES, Reduction


def run_reduction(
    op: str, reduction: Reduction, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """A layer of op "normalise", "softmax" or "reduce" on (N, C, H, W); weight and bias as Reduction says."""
    channels, height, width = x.shape[1:]
    parts = x.reshape(-1, channels // reduction.groups, height, width)
    dims = [1 + AXES.index(axis) for axis in reduction.axes]
    if op == "reduce":
        return _statistic(reduction, parts, dims).reshape(len(x), *reduction.reduced(x.shape[1:]))
    result = (_softmax if op == "softmax" else _normalise)(reduction, parts, dims).reshape(x.shape)
    return result if weight is None or bias is None else result * weight + bias


def _softmax(reduction: Reduction, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
    shifted = x - x.amax(dims, keepdim=True)
    total = shifted.exp().sum(dims, keepdim=True)
    return shifted.exp() / total if reduction.kind == "softmax" else shifted - total.log()


def _normalise(reduction: Reduction, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
    kind, eps = reduction.kind, reduction.eps
    if kind == "l1":
        return x / x.abs().sum(dims, keepdim=True).clamp(min=eps)
    if kind == "l2":
        return x / (x * x).sum(dims, keepdim=True).sqrt().clamp(min=eps)
    centred = x - x.mean(dims, keepdim=True) if kind == "variance" else x
    return centred / ((centred * centred).mean(dims, keepdim=True) + eps).sqrt()


def _statistic(reduction: Reduction, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
    kind = reduction.kind
    if kind in ("sum", "mean"):
        return getattr(x, kind)(dims, keepdim=True)
    if kind in ("max", "min"):
        return getattr(x, f"a{kind}")(dims, keepdim=True)
    if kind == "l1":
        return x.abs().sum(dims, keepdim=True)
    if kind == "l2":
        return (x * x).sum(dims, keepdim=True).sqrt()
    centred = x - x.mean(dims, keepdim=True)
    variance = (centred * centred).sum(dims, keepdim=True) / (reduction.count(x.shape[1:]) - reduction.correction)
    return variance if kind == "variance" else variance.sqrt()
