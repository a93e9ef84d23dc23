"""A network with one of everything that compiles in a second, registered under a name of its own."""

import torch
from torch import nn

from models.preprocess import Preprocessing
from models.zoo.registry import model_names, register_model
from models.zoo.spec import ModelSpec

NAME = "small_of_the_tests"


class Fn(nn.Module):
    """A module whose forward is `function(self, x)`, with the given parts."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


class SideBySide(nn.Module):
    """Modules as the branches of one, each with a copy of the input, since some work in place; a list of what they
    return."""

    def __init__(self, modules):
        super().__init__()
        self.branches = nn.ModuleList(modules)

    def forward(self, x):
        return [branch(x.clone()) for branch in self.branches]


class Small(nn.Module):
    """A stem, two equal layers, a residual, a concat of three, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.one, self.two = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.wide = nn.Conv2d(24, 5, 3, 1, 2, dilation=2)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        one = torch.relu(self.one(x))
        two = torch.relu(self.two(one)) + x
        return self.wide(torch.cat([x, one, two], 1)), self.pool(two)


class SqueezeExcited(nn.Module):
    """A convolution, its map times a gate by channel, and a 1x1 of `filters` that reads the product."""

    def __init__(self, filters: int = 19) -> None:
        super().__init__()
        self.stem, self.project = nn.Conv2d(3, 29, 3, padding=1), nn.Conv2d(29, filters, 1)
        self.reduce, self.expand = nn.Conv2d(29, 5, 1), nn.Conv2d(5, 29, 1)

    def forward(self, x):
        return self.project(self.excite(torch.relu(self.stem(x))))

    def excite(self, x):
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


def register_small() -> str:
    """Its name in the registry."""
    if NAME not in model_names():
        preprocessing = Preprocessing((0.0, 0.0, 0.0), 1.0)
        register_model(ModelSpec(NAME, Small, preprocessing, size=(32, 32), outputs=("wide", "pooled"), stride=4))
    return NAME
