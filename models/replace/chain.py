"""A chain of 3x3 convolutions that stands where one wider convolution stood.

Receptive field: n 3x3 convolutions, the first of stride s, see 3 + 2 s (n - 1) input pixels per axis (Araujo et al.
2019, eq. 2); a k x k convolution of dilation d sees d (k - 1) + 1.
"""

from __future__ import annotations

import torch
from torch import nn

from models.replace.values import Replacement

MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hardtanh": nn.Hardtanh}


def extent(kernel: int, dilation: int) -> int:
    """Cells from the first to the last a convolution reads, both counted."""
    return dilation * (kernel - 1) + 1


def links_needed(kernel: int, dilation: int, stride: int) -> int:
    """The fewest 3x3 convolutions, the first of them strided, that see at least as much; (k - 1) / 2 at stride 1."""
    return 1 + -(-(extent(kernel, dilation) - 3) // (2 * stride))


class ConvChain(nn.Sequential):
    """conv3x3 in -> out (strided), then (links - 1) times: [batch norm], activation, conv3x3 out -> out.

    Input and output as of the convolution it stands for: (N, in, H, W) -> (N, out, H', W'). `weight` and `bias` are
    the first link's, which carries what is kept of the old kernel, so code that draws `conv.weight` still works.
    A new chain's convolutions are uninitialised: call `draw` or `fold_from`.

    Args:
        old: the convolution it stands for: odd square kernel, size-keeping padding, no groups.
        replacement: links, and the activation between them.
        norm: the batch norm behind `old`; every inner link gets one of the same kind.
    """

    def __init__(self, old: nn.Conv2d, replacement: Replacement, norm: nn.BatchNorm2d | None = None) -> None:
        outputs, bias = old.out_channels, old.bias is not None
        parts: list[nn.Module] = [
            nn.Conv2d(old.in_channels, outputs, 3, stride=old.stride[0], padding=1, bias=bias, device="meta")
        ]
        for _ in range(replacement.links - 1):
            if norm is not None:
                parts.append(nn.BatchNorm2d(outputs, norm.eps, norm.momentum, norm.affine, device="meta"))
            parts.append(MODULES[replacement.activation]())
            parts.append(nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias, device="meta"))
        super().__init__(*parts)
        self.to_empty(device=old.weight.device).to(old.weight.dtype)
        self.train(old.training)
        for part in self:
            if isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()

    @property
    def convs(self) -> list[nn.Conv2d]:
        return [part for part in self if isinstance(part, nn.Conv2d)]

    @property
    def weight(self) -> torch.Tensor:
        return self.convs[0].weight

    @property
    def bias(self) -> torch.Tensor | None:
        return self.convs[0].bias

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Random weights (He et al. 2015, eq. 10); biases zero."""
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    @torch.no_grad()
    def fold_from(self, old: nn.Conv2d, norm: nn.BatchNorm2d | None) -> None:
        """Start near `old`: the first link is its kernel folded to 3x3, the others pass their input on.

        Each tap of the old kernel is added to the nearest of the 3x3 (offset / extent * 3, rounded), so the response
        to a constant plane is kept exactly; that of an undilated kernel's taps is theirs with the dilation dropped.
        The batch norm moves to the first link, the one behind the chain becomes the identity. ReLU, ReLU6 and
        hard-tanh change nothing when applied again, so the chain equals the folded convolution where one of them
        follows it.
        """
        first, *rest = self.convs
        first.weight.copy_(fold_kernel(old.weight, old.dilation[0]))
        if first.bias is not None and old.bias is not None:
            first.bias.copy_(old.bias)
        for conv in rest:
            nn.init.dirac_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        inner = next((part for part in self if isinstance(part, nn.BatchNorm2d)), None)
        if norm is not None and inner is not None:
            inner.load_state_dict(norm.state_dict())
            norm.reset_parameters()


def fold_kernel(weight: torch.Tensor, dilation: int) -> torch.Tensor:
    """(out, in, k, k) to (out, in, 3, 3): each tap is added to the nearest cell of the 3x3."""
    taps = weight.shape[-1]
    reach = extent(taps, dilation)
    offsets = (torch.arange(taps, device=weight.device) - taps // 2) * dilation
    cells = (offsets * 3 / reach).round().clamp(-1, 1).long() + 1
    onto = torch.zeros(taps, 3, dtype=weight.dtype, device=weight.device)
    onto[torch.arange(taps, device=weight.device), cells] = 1
    return torch.einsum("oikl,ka,lb->oiab", weight, onto, onto)
