"""What public packages define, by package: networks that find keypoints, and backbones under them.

Each function answers the definitions of an installed package; nothing is downloaded, weights are random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import nn

from benchmarks.definitions.examine import Definition
from benchmarks.definitions.fields import openpifpaf, sleap_nn
from benchmarks.definitions.imports import folder_of, import_file, import_part
from benchmarks.definitions.openmmlab import mmpose, mmyolo

#: not installed with the packages below, and of no use for their networks
_UNUSED = (
    "imgaug", "numba", "nvidia", "h5py", "sklearn", "matplotlib", "segment_anything", "peft", "fiftyone",
    "tensorboard", "albumentations", "aniposelib", "statsmodels", "skimage", "wandb", "numexpr", "tables", "filterpy",
)  # fmt: skip


class Picked(nn.Module):
    """A network, and which of what it returns is meant."""

    def __init__(self, network: nn.Module, pick: Callable[[Any], Any]) -> None:
        super().__init__()
        self.network, self.pick = network, pick

    def forward(self, x: Any) -> Any:
        return self.pick(self.network(x))


def torchvision() -> Iterator[Definition]:
    models = import_part("torchvision.models")

    def make(name: str) -> nn.Module:
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        backbone = {"weights_backbone": None} if "_resnet" in name or "_mobilenet" in name else {}
        return models.get_model(name, weights=None, **more, **backbone)

    def keypoints() -> nn.Module:
        return models.get_model("keypointrcnn_resnet50_fpn", weights=None, weights_backbone=None)

    def heads() -> nn.Module:
        network = keypoints().roi_heads
        return nn.Sequential(network.keypoint_head, network.keypoint_predictor)

    yield Definition("keypointrcnn_resnet50_fpn, backbone", lambda: keypoints().backbone, (3, 128, 128))
    yield Definition("keypointrcnn_resnet50_fpn, heads", heads, (256, 14, 14))
    for name in ("fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"):
        yield Definition(name, partial(make, name), (3, 128, 128))
    large = ("swin", "vit", "alexnet", "vgg", "maxvit", "squeeze", "googlenet")
    for name in models.list_models(module=models):
        side = 299 if name == "inception_v3" else 224 if name.startswith(large) else 96
        yield Definition(name, partial(make, name), (3, side, side))


#: one or two of each family of timm
TIMM = (
    "resnet18", "resnet50d", "resnext50_32x4d", "seresnet50", "ecaresnet26t", "gcresnet50t", "resnest14d",
    "res2net50_26w_4s", "skresnet18", "dpn68", "densenet121", "dla34", "hrnet_w18_small", "hardcorenas_a", "vgg11_bn",
    "xception41", "inception_v3", "mobilenetv1_100", "mobilenetv2_100", "mobilenetv3_small_100",
    "mobilenetv4_conv_small", "mnasnet_100", "fbnetv3_b", "efficientnet_b0", "efficientnetv2_rw_t",
    "tf_efficientnet_lite0", "ghostnet_100", "ghostnetv2_100", "mobileone_s0", "repvgg_a0", "repvit_m0_9",
    "fastvit_t8", "regnetx_002", "regnety_002", "convnext_atto", "convnextv2_atto", "cspresnet50", "cspdarknet53",
    "darknet53", "vovnet39a", "selecsls42b", "rexnet_100", "lcnet_050", "tinynet_e", "nfnet_f0", "edgenext_xx_small",
    "mobilevit_xxs", "mobilevitv2_050", "efficientformer_l1", "efficientvit_b0", "poolformer_s12",
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "pvt_v2_b0", "levit_128s",
    "mixer_s32_224", "coat_lite_tiny", "starnet_s1", "inception_next_atto",
)  # fmt: skip


def timm() -> Iterator[Definition]:
    package = import_part("timm")
    known = set(package.list_models())
    for name in TIMM:
        if name in known:
            shape = package.get_pretrained_cfg(name).input_size
            yield Definition(name, partial(package.create_model, name, pretrained=False), shape)


#: (names, side or (height, width) of the input)
PYTORCHCV: tuple[tuple[str, tuple[int, int]], ...] = (
    ("alphapose_fastseresnet101b_coco", (128, 96)),
    *((f"simplepose_{name}_coco", (128, 96)) for name in ("resnet18", "resnet50b")),
    *(
        (f"simplepose_mobile_{name}_coco", (128, 96))
        for name in ("resnet18", "resnet50b", "mobilenet_w1", "mobilenetv2b_w1", "mobilenetv3_small_w1")
    ),
    *((f"lwopenpose{dimensions}d_mobilenet_cmupan_coco", (128, 128)) for dimensions in (2, 3)),
    ("ibppose_coco", (128, 128)),
    *((f"centernet_resnet18_{data}", (256, 256)) for data in ("coco", "voc")),
    *((name, (224, 224)) for name in ("shufflenet_g1_w1", "shufflenetv2_w1", "menet108_8x1_g3", "sqnxt23_w1")),
    *((name, (96, 96)) for name in ("preresnet18", "airnet50_1x64d_r2", "bam_resnet18", "cbam_resnet18")),
)


def pytorchcv() -> Iterator[Definition]:
    provider = import_part("pytorchcv.model_provider")
    for name, size in PYTORCHCV:
        yield Definition(name, partial(provider.get_model, name, pretrained=False), (3, *size))


DECODERS = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus", "UPerNet",
    "Segformer",
)  # fmt: skip


def segmentation_models_pytorch() -> Iterator[Definition]:
    package = import_part("segmentation_models_pytorch")
    for decoder in DECODERS:
        make = partial(getattr(package, decoder), encoder_name="mobilenet_v2", encoder_weights=None, classes=17)
        yield Definition(decoder, make, (3, 128, 128 if decoder == "PAN" else 96))


def ultralytics() -> Iterator[Definition]:
    tasks = import_part("ultralytics.nn.tasks")
    for version in ("v8", "11", "12", "26"):
        for scale in "nm":
            file = f"yolo{version}{scale}-pose.yaml"
            yield Definition(file, partial(tasks.PoseModel, file, ch=3, verbose=False), (3, 128, 128))


def transformers() -> Iterator[Definition]:
    package = import_part("transformers")

    def make(network: str, settings: str, pick: Callable[[Any], Any], **options: Any) -> nn.Module:
        return Picked(getattr(package, network)(getattr(package, settings)(**options)), pick)

    def vitpose(simple: bool) -> nn.Module:
        backbone = package.VitPoseBackboneConfig(
            hidden_size=96,
            num_hidden_layers=3,
            num_attention_heads=3,
            intermediate_size=192,
            out_features=["stage3"],
            out_indices=[3],
        )
        settings = package.VitPoseConfig(backbone_config=backbone, use_simple_decoder=simple)
        return Picked(package.VitPoseForPoseEstimation(settings), lambda answer: answer.heatmaps)

    yield Definition("ViTPose, simple decoder", partial(vitpose, True), (3, 256, 192))
    yield Definition("ViTPose", partial(vitpose, False), (3, 256, 192))
    logits, states = (lambda answer: answer.logits), (lambda answer: answer.last_hidden_state)
    yield Definition(
        "SegFormer", partial(make, "SegformerForSemanticSegmentation", "SegformerConfig", logits), (3, 128, 128)
    )
    small = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 224}
    yield Definition("DINOv2", partial(make, "Dinov2Model", "Dinov2Config", states, **small), (3, 224, 224))
    swin = {"depths": [2, 2], "num_heads": [3, 6], "embed_dim": 48}
    yield Definition("Swin V2", partial(make, "Swinv2Model", "Swinv2Config", states, **swin), (3, 224, 224))


def controlnet_aux() -> Iterator[Definition]:
    package = import_file("controlnet_aux", "open_pose/model.py")
    yield Definition("OpenPose body", package.bodypose_model, (3, 96, 128))
    yield Definition("OpenPose hand", package.handpose_model, (3, 96, 96))


def face_alignment() -> Iterator[Definition]:
    yield Definition("FAN", lambda: import_file("face_alignment", "models/fan.py").FAN(4), (3, 256, 256))
    yield Definition("S3FD", lambda: import_file("face_alignment", "detection/sfd/net_s3fd.py").s3fd(), (3, 128, 128))


def effdet() -> Iterator[Definition]:
    networks = import_part("effdet.efficientdet", ("effdet",))
    settings = import_part("effdet.config")
    for name in ("tf_efficientdet_lite0", "tf_efficientdet_d0", "efficientdet_d0", "resdet50", "cspresdet50"):

        def make(name: str = name) -> nn.Module:
            chosen = settings.get_efficientdet_config(name)
            chosen.image_size = (256, 256)
            return networks.EfficientDet(chosen, pretrained_backbone=False)

        yield Definition(name, make, (3, 256, 256))


def modern_yolonas() -> Iterator[Definition]:
    networks = import_part("modern_yolonas.model", ("modern_yolonas",))
    for size in "sml":
        yield Definition(f"YOLO-NAS {size}", partial(networks.YoloNAS.from_config, f"yolo_nas_{size}"), (3, 128, 128))


def lightning_pose() -> Iterator[Definition]:
    networks = import_part("lightning_pose.models.heatmap_tracker", ("lightning_pose",), _UNUSED)
    for backbone in ("resnet18", "resnet50", "efficientnet_b0"):
        make = partial(networks.HeatmapTracker, num_keypoints=17, backbone=backbone, pretrained=False)
        yield Definition(f"HeatmapTracker, {backbone}", make, (3, 128, 128))


def deeplabcut() -> Iterator[Definition]:
    pytorch = "deeplabcut.pose_estimation_pytorch"
    without = ("deeplabcut", pytorch, "deeplabcut.utils", "deeplabcut.core")
    networks = import_part(f"{pytorch}.models", without, _UNUSED)
    read = import_part("yaml").safe_load

    def fill(value: Any) -> Any:
        """A template's settings for 17 keypoints."""
        if isinstance(value, dict):
            return {key: fill(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [fill(entry) for entry in value]
        if isinstance(value, str) and value.startswith(("num_bodyparts", "num_limbs")):
            counts = {"num_bodyparts": 17, "num_limbs": 16}
            parts = value.split()
            number = counts[parts[0]]
            return {"x": number * int(parts[2]), "+": number + int(parts[2])}[parts[1]] if len(parts) > 1 else number
        return value

    folder = folder_of("deeplabcut") / "pose_estimation_pytorch" / "config"
    for path in sorted([*folder.glob("rtmpose/*.yaml"), *folder.glob("dekr/*.yaml"), *folder.glob("dlcrnet/*.yaml")]):
        settings = fill(read(path.read_text(encoding="utf-8"))["model"])
        height, width = settings["heads"]["bodypart"].get("input_size", (256, 256))
        yield Definition(path.stem, partial(networks.PoseModel.build, settings), (3, height, width))
    for name, kind in (
        ("resnet50_gn", "ResNet"),
        ("resnet101", "ResNet"),
        ("hrnet_w18", "HRNet"),
        ("cspnext_m", "CSPNeXt"),
    ):
        backbone = {"type": kind, "model_name": name, "pretrained": False}
        yield Definition(f"backbone {name}", partial(networks.BACKBONES.build, backbone), (3, 256, 256))


#: by the name that pip knows
PACKAGES: dict[str, Callable[[], Iterator[Definition]]] = {
    "mmpose": mmpose,
    "mmyolo": mmyolo,
    "openpifpaf": openpifpaf,
    "sleap-nn": sleap_nn,
    "ultralytics": ultralytics,
    "pytorchcv": pytorchcv,
    "deeplabcut": deeplabcut,
    "lightning-pose": lightning_pose,
    "modern-yolonas": modern_yolonas,
    "controlnet_aux": controlnet_aux,
    "transformers": transformers,
    "face-alignment": face_alignment,
    "effdet": effdet,
    "segmentation-models-pytorch": segmentation_models_pytorch,
    "torchvision": torchvision,
    "timm": timm,
}
