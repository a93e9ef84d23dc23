"""Make the pictures of the README: docs/people.png and docs/latency.png.

    python tools/figures.py

The people are what resnet50_3 finds, with the project's own weights, run by PyTorch on the astronaut that comes with
scikit-image. The bars are rows of docs/networks.csv, which `python -m benchmarks.networks` measured.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MODEL = "resnet50_3"
#: (plan, engine) of a row in networks.csv, and what its bar is called
BARS = {
    ("dense", "torch"): "PyTorch",
    ("dense", "ncnn"): "ncnn",
    ("dense", "onnxruntime"): "ONNX Runtime",
    ("dense", "openvino"): "OpenVINO",
    ("dense", "ours"): "fleetpose, dense",
    ("1.80x", "ours"): "fleetpose, the paper's 1.80x",
    ("2.15x", "ours"): "fleetpose, the paper's 2.15x",
    ("decided 2x", "ours"): "fleetpose, decided for 2x",
}


def draw_astronaut(path: Path) -> None:
    """Find the people on scikit-image's astronaut, draw them, and write the picture."""
    import cv2
    import skimage
    import torch

    import models
    from models.pose.decoding.decoders import decoder_for
    from models.pose.drawing.draw import draw_people
    from models.preprocess import fit, free_size, read_image
    from models.resolve import create_model, model_spec

    spec = model_spec(MODEL)
    network = create_model(MODEL, Path(models.__file__).parent / "trained" / f"{MODEL}.safetensors")
    image = read_image(Path(skimage.__file__).parent / "data" / "astronaut.png")
    tensor, placement = fit(image, free_size(image.shape[:2], spec.size[0], spec.stride), spec.preprocessing)
    with torch.inference_mode():
        outputs = network.eval().float()(torch.from_numpy(tensor))
    maps = {name: output.numpy() for name, output in zip(spec.outputs, outputs, strict=True)}
    drawn = draw_people(image, decoder_for(spec.outputs).decode(maps, placement))
    cv2.imwrite(str(path), cv2.resize(drawn, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))


def draw_bars(path: Path) -> None:
    """Draw the time of each engine over that of the dense artifact, with the interval that the file has."""
    from matplotlib.figure import Figure

    with (DOCS / "networks.csv").open(newline="") as file:
        rows = {(row["plan"], row["engine"]): row for row in csv.DictReader(file) if row["network"] == MODEL}
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for place, (key, label) in enumerate(reversed(BARS.items())):
        ratio, low, high = (float(rows[key][f"time_over_ours{end}"] or 1) for end in ("", "_low", "_high"))
        axes.barh(place, ratio, color="#d9480f" if key[1] == "ours" else "#adb5bd")
        axes.errorbar(ratio, place, xerr=[[ratio - low], [high - ratio]], color="#343a40", capsize=2)
        axes.text(high + 0.03, place, f"{ratio:.2f}", va="center")
        axes.text(-0.03, place, label, va="center", ha="right")
    axes.set_yticks([])
    axes.set_xlim(0, 2.4)
    axes.set_xlabel(f"time of {MODEL} / time of fleetpose, dense (shorter is faster)")
    figure.suptitle("368x368, float32, two cores of a Xeon with AVX-512 under PoCL; 95 % intervals", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    draw_astronaut(DOCS / "people.png")
    draw_bars(DOCS / "latency.png")
