"""What mmpose and mmyolo define: their configurations, one or two of each method and backbone.

    pip install --no-deps mmpose mmyolo mmdet mmpretrain mmcv-lite mmengine
    pip install torchvision addict yapf termcolor rich json_tricks munkres shapely terminaltables pycocotools einops

No compiled operators are needed: mmcv's are empty here, and what wants them is "not made".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.definitions.examine import Definition
from benchmarks.definitions.imports import folder_of, import_part

#: packages whose __init__ refuses this mmcv, or imports language models
_BARE = ("mmpose", "mmdet", "mmpretrain", "mmpretrain.models", "mmyolo")
_EMPTY = (
    "mmcv._ext",
    "xtcocotools",
    "chumpy",
    "imgaug",
    "numba",
    "h5py",
    "sklearn",
    "albumentations",
    "skimage",
    "peft",
)
_BODY = "body_2d_keypoint"
_WHOLE = "wholebody_2d_keypoint"

#: (height, width) of the input, how a configuration's path starts in the package's folder of configurations
MMPOSE: tuple[tuple[tuple[int, int], tuple[str, ...]], ...] = (
    ((128, 96), (
        *(f"{_BODY}/topdown_heatmap/coco/cspnext-{size}_" for size in ("tiny", "s")),
        *(
            f"{_BODY}/topdown_heatmap/coco/td-hm_{name}_"
            for name in (
                "2xmspn50", "mspn50", "2xrsn50", "rsn18", "cpm", "hrformer-small", "hrnet-w32", "litehrnet-18",
                "litehrnet-30", "mobilenetv2", "pvt-s", "pvtv2-b2", "res50", "resnest50", "resnetv1d50", "resnext50",
                "seresnet50", "shufflenetv1", "shufflenetv2", "swin-t-p4-w7", "vgg16-bn", "vipnas-mbv3",
                "vipnas-res50", "hrnet-w32_udp-regress-8xb64-210e",
            )
        ),
        f"{_BODY}/topdown_heatmap/coco/td-hm-vis_res50_",
        f"{_BODY}/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-aic",
        *(f"{_BODY}/topdown_regression/coco/td-reg_{name}" for name in ("res50_8", "res50_rle-8", "mobilenetv2_rle")),
        f"{_WHOLE}/topdown_heatmap/coco-wholebody/td-hm_vipnas-mbv3_",
        "face_2d_keypoint/topdown_heatmap/wflw/td-hm_hrnetv2-w18_8",
        "face_2d_keypoint/topdown_regression/wflw/td-reg_res50_8",
        "hand_2d_keypoint/topdown_heatmap/onehand10k/td-hm_mobilenetv2_",
        "hand_2d_keypoint/topdown_heatmap/coco_wholebody_hand/td-hm_litehrnet",
    )),
    ((128, 128), (
        f"{_BODY}/associative_embedding/coco/ae_hrnet-w32", f"{_BODY}/cid/coco/cid_hrnet-w32",
        f"{_BODY}/dekr/coco/dekr_hrnet-w32", f"{_BODY}/edpose/coco/edpose_res50",
        f"{_BODY}/rtmo/body7/rtmo-t", f"{_BODY}/rtmo/coco/rtmo-s", f"{_BODY}/rtmo/coco/rtmo-m",
        f"{_BODY}/yoloxpose/coco/yoloxpose_tiny", f"{_BODY}/yoloxpose/coco/yoloxpose_s",
    )),
    ((256, 192), (
        *(f"{_BODY}/rtmpose/coco/rtmpose-{size}_8xb256-420e_coco-256x192" for size in "tsm"),
        f"{_BODY}/simcc/coco/simcc_mobilenetv2", f"{_BODY}/simcc/coco/simcc_res50_8xb64",
        f"{_BODY}/simcc/coco/simcc_vipnas",
        *(
            f"{_BODY}/topdown_heatmap/coco/td-hm_{name}"
            for name in ("ViTPose-small_", "ViTPose-small-simple", "alexnet", "scnet50")
        ),
        f"{_WHOLE}/rtmpose/coco-wholebody/rtmpose-m",
        f"{_WHOLE}/rtmpose/cocktail14/rtmw-l_8xb1024-270e_cocktail14-256x192",
    )),
    ((256, 256), (
        *(f"{_BODY}/integral_regression/coco/ipr_res50_{method}8xb" for method in ("", "dsnt-", "debias-")),
        f"{_BODY}/topdown_heatmap/coco/td-hm_hourglass52_8xb32-210e_coco-256x256",
        "animal_2d_keypoint/rtmpose/ap10k/rtmpose-m", "hand_2d_keypoint/rtmpose/hand5/rtmpose-m",
    )),
)  # fmt: skip

#: how configurations' paths start, those of mmyolo; inputs are 128 x 128
MMYOLO = (
    *(f"yolox/pose/yolox-pose_{size}_" for size in ("tiny", "s")),
    *(f"yolox/yolox_{size}_fast_8xb" for size in ("nano", "tiny")),
    *(f"yolov5/yolov5_{size}" for size in ("n-v61_syncbn_fast", "s-p6-v62", "s-v61_syncbn-detect")),
    "yolov5/yolov5u/yolov5u_n_syncbn", "yolov5/ins_seg/yolov5_ins_n",
    *(f"yolov6/yolov6_{size}_syncbn_fast" for size in ("n", "m", "v3_n", "v3_m")),
    *(f"yolov7/yolov7_{size}_syncbn_fast" for size in ("tiny", "l", "w-p6")),
    *(f"yolov8/yolov8_{size}_syncbn_fast" for size in "nm"),
    "ppyoloe/ppyoloe_s_fast_8xb32-300e", "ppyoloe/ppyoloe_plus_s_fast_8xb8",
    *(f"rtmdet/rtmdet_{size}_syncbn_fast" for size in ("tiny", "s")),
    "rtmdet/rtmdet-ins_s",
)  # fmt: skip


class WithoutDecoding(nn.Module):
    """A model of OpenMMLab as what it is without losses and decoders: its features, and what its head makes of them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.head = getattr(model, "bbox_head", None) or getattr(model, "head", None)

    def forward(self, x: Any) -> Any:
        features = self.model.extract_feat(x)
        return features if self.head is None else self.head.forward(features)


def mmpose() -> Iterator[Definition]:
    import_part("mmpose.models", _BARE, _EMPTY)
    import_part("mmpretrain.models.backbones")
    parse = import_part("mmengine.utils").digit_version
    package: Any = import_part("mmpose")
    package.digit_version, package.mmcv_version = parse, parse("2.1.0")  # of its __init__, which PVT asks
    for size, starts in MMPOSE:
        for start in starts:
            yield _definition("mmpose", start, size)


def mmyolo() -> Iterator[Definition]:
    import_part("mmyolo.models", _BARE, _EMPTY)
    import_part("mmpretrain.models.backbones")
    for start in MMYOLO:
        yield _definition("mmyolo", start, (128, 128))


def _definition(package: str, start: str, size: tuple[int, int]) -> Definition:
    folder = folder_of(package) / ".mim" / "configs"
    path = min(folder.glob(f"{start}*.py"))
    name = str(path.relative_to(folder).with_suffix(""))
    return Definition(name, partial(_build, package, path), (3, *size))


def _build(package: str, path: Path) -> nn.Module:
    settings = import_part("mmengine.config").Config.fromfile(path).model
    forget_downloads(settings)
    settings.pop("data_preprocessor", None)
    import_part("mmengine.registry").init_default_scope(package)
    return WithoutDecoding(import_part(f"{package}.registry").MODELS.build(settings))


def forget_downloads(settings: Any) -> None:
    """Take out of settings, and those below them, where weights are to be downloaded from."""
    if isinstance(settings, Mapping):
        for key in ("init_cfg", "pretrained"):
            settings.pop(key, None)  # type: ignore[attr-defined]
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for below in settings:
            forget_downloads(below)
