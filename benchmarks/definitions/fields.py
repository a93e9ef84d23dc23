"""What openpifpaf and sleap-nn define: networks whose heads are confidence maps and fields that join them.

pip install wheel loguru omegaconf attrs python-json-logger pysparkling
pip install --no-deps sleap-nn
pip install --no-deps --no-build-isolation openpifpaf      # compiles its decoder, which is not used here
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import nn

from benchmarks.definitions.examine import Definition
from benchmarks.definitions.imports import import_part

_KEYPOINTS = [f"part {index}" for index in range(17)]
_EDGES = [(index, index + 1) for index in range(1, 17)]

PIFPAF = (
    "resnet18", "resnet50", "resnext50", "mobilenetv2", "mobilenetv3small", "mobilenetv3large", "shufflenetv2x1",
    "shufflenetv2k16", "shufflenetv2k20", "shufflenetv2k30", "squeezenet",
)  # fmt: skip


def openpifpaf() -> Iterator[Definition]:
    factory = import_part("openpifpaf.network.factory", ("openpifpaf", "openpifpaf.network"), ("pysparkling",))
    metas, networks = import_part("openpifpaf.headmeta"), import_part("openpifpaf.network.nets")
    for part in ("basenetworks", "heads", "tracking_heads"):  # nothing is to be downloaded
        for kind in vars(import_part(f"openpifpaf.network.{part}")).values():
            if hasattr(kind, "pretrained"):
                kind.pretrained = False

    def make(name: str, upsample: int) -> nn.Module:
        sigmas = [0.05] * len(_KEYPOINTS)
        heads = (
            metas.Cif("cif", "people", _KEYPOINTS, sigmas),
            metas.Caf("caf", "people", _KEYPOINTS, sigmas, _EDGES),
        )
        for meta in heads:
            meta.upsample_stride = upsample
        base = factory.BASE_FACTORIES[name]()
        network = networks.Shell(base, [factory.HEADS[type(meta)](meta, base.out_features) for meta in heads])
        networks.model_defaults(network)
        return network

    for name in PIFPAF:
        yield Definition(name, partial(make, name, 1), (3, 129, 97))
    yield Definition("shufflenetv2k16, fields upsampled", partial(make, "shufflenetv2k16", 2), (3, 129, 97))


#: name: backbone, its settings, what it is of
SLEAP: dict[str, tuple[str, dict[str, Any], str]] = {
    "U-Net, one animal": ("unet", {}, "single_instance"),
    "U-Net, transposed, one animal": ("unet", {"up_interpolate": False}, "single_instance"),
    "U-Net with a stem, centroids": ("unet", {"stem_stride": 2, "max_stride": 32}, "centroid"),
    "U-Net, centred animal": ("unet", {"output_stride": 4}, "centered_instance"),
    "U-Net, bottom-up": ("unet", {"output_stride": 2}, "bottomup"),
    "U-Net, bottom-up with classes": ("unet", {"output_stride": 2}, "multi_class_bottomup"),
    "U-Net, centred animal with classes": ("unet", {"output_stride": 2}, "multi_class_topdown"),
    "ConvNeXt, bottom-up": ("convnext", {"output_stride": 2}, "bottomup"),
    "ConvNeXt, transposed, one animal": ("convnext", {"up_interpolate": False, "output_stride": 2}, "single_instance"),
    "Swin, bottom-up": ("swint", {"output_stride": 2}, "bottomup"),
    "Swin, one animal": ("swint", {"output_stride": 2}, "single_instance"),
}
_BACKBONES = {"unet": "UNetConfig", "convnext": "ConvNextConfig", "swint": "SwinTConfig"}


def sleap_nn() -> Iterator[Definition]:
    networks = import_part("sleap_nn.architectures.model", ("sleap_nn", "sleap_nn.architectures", "sleap_nn.config"))
    settings, create = import_part("sleap_nn.config.model_config"), import_part("omegaconf").OmegaConf.create

    def make(backbone: str, options: dict[str, Any], kind: str) -> nn.Module:
        defaults = getattr(settings, _BACKBONES[backbone])()
        names = [attribute.name for attribute in defaults.__attrs_attrs__]
        chosen = {name: getattr(defaults, name) for name in names} | {"in_channels": 3} | options
        heads = create(_sleap_heads(kind, chosen["output_stride"]))
        return networks.Model(backbone, create(chosen), heads, kind)

    for name, (backbone, options, kind) in SLEAP.items():
        yield Definition(name, partial(make, backbone, options, kind), (3, 128, 96))


def _sleap_heads(kind: str, stride: int) -> dict[str, dict[str, Any]]:
    """The settings of a model's heads, for 17 keypoints and 3 classes."""
    common = {"output_stride": stride, "loss_weight": 1.0}
    maps = {"confmaps": {"part_names": _KEYPOINTS, "sigma": 5.0, **common}}
    edges = [[_KEYPOINTS[first - 1], _KEYPOINTS[second - 1]] for first, second in _EDGES]
    classes = ["first", "second", "third"]
    return {
        "single_instance": maps,
        "centroid": {"confmaps": {"anchor_part": None, "sigma": 5.0, **common}},
        "centered_instance": {"confmaps": {**maps["confmaps"], "anchor_part": None}},
        "bottomup": {**maps, "pafs": {"edges": edges, "sigma": 15.0, **common}},
        "multi_class_bottomup": {**maps, "class_maps": {"classes": classes, "sigma": 5.0, **common}},
        "multi_class_topdown": {
            "confmaps": {**maps["confmaps"], "anchor_part": None},
            "class_vectors": {
                "classes": classes,
                "num_fc_layers": 1,
                "num_fc_units": 64,
                "global_pool": True,
                **common,
            },
        },
    }[kind]
