"""Make the pictures and the table of figures of the README: `make figures`, or

    python tools/figures.py [people] [tracking] [latency] [table]

docs/people.png and docs/tracking.gif show what resnet50_3 finds, with the project's own weights, run by PyTorch on
pictures that come with scikit-image (`tracking_clip` makes the clip). docs/latency.png and the README's table, which
stands between two comments there, are rows of docs/networks.csv, which `python -m benchmarks.networks` measured.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
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
}
#: the table's rows and columns: networks and engines of networks.csv, and what they are called
NETWORKS = {
    "lwop": "`lwop`, Lightweight OpenPose",
    "resnet50_3": "`resnet50_3`, the paper's",
    "efficientnet": "`efficientnet`",
}
ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "torch": "PyTorch"}
#: the lines of the README that the table stands between
BEGIN, END = "<!-- made by tools/figures.py from docs/networks.csv -->", "<!-- end of what was made -->"

Row = dict[str, str]


def read_rows(path: Path = DOCS / "networks.csv") -> dict[tuple[str, str, str], Row]:
    """(network, plan, engine) -> its row."""
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["network"], row["plan"], row["engine"]): row for row in csv.DictReader(file)}


@cache
def pictures() -> Path:
    """The folder of scikit-image's pictures."""
    import skimage

    return Path(skimage.__file__).parent / "data"


@cache
def finder(height: int) -> Callable[[Any], list[Any]]:
    """A function from a picture, BGR, to the people that the network finds when it is `height` high."""
    import torch

    import models
    from models.pose.decoding.decoders import decoder_for
    from models.preprocess import fit, free_size
    from models.resolve import create_model, model_spec

    spec = model_spec(MODEL)
    network = create_model(MODEL, Path(models.__file__).parent / "trained" / f"{MODEL}.safetensors").eval().float()

    def find_people(image: Any) -> list[Any]:
        tensor, placement = fit(image, free_size(image.shape[:2], height, spec.stride), spec.preprocessing)
        with torch.inference_mode():
            outputs = network(torch.from_numpy(tensor))
        maps = {name: output.numpy() for name, output in zip(spec.outputs, outputs, strict=True)}
        return decoder_for(spec.outputs, spec.decoding).decode(maps, placement)

    return find_people


def draw_astronaut(path: Path = DOCS / "people.png") -> None:
    """Find the people on scikit-image's astronaut, draw them, and write the picture."""
    import cv2

    from models.pose.drawing.draw import draw_people
    from models.preprocess import read_image

    image = cv2.resize(read_image(pictures() / "astronaut.png"), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    # 256: this network's weights know people who are smaller than half a person that fills the picture
    cv2.imwrite(str(path), draw_people(image, finder(256)(image)))


def draw_tracking(path: Path = DOCS / "tracking.gif") -> None:
    """Make a clip, follow the people in it, see that everyone keeps one identity, and write it."""
    import tracking_clip as clip

    frames = list(clip.frames(pictures()))
    people = clip.track(frames, finder(clip.INPUT_HEIGHT))
    clip.check_identities(people)
    clip.write_gif(path, frames, people)


def draw_bars(path: Path = DOCS / "latency.png") -> None:
    """Draw the time of each engine over that of the dense artifact, with the interval that the file has."""
    from matplotlib.figure import Figure

    rows = read_rows()
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for place, ((plan, engine), label) in enumerate(reversed(BARS.items())):
        row = rows[MODEL, plan, engine]
        ratio, low, high = (float(row[f"time_over_ours{end}"] or 1) for end in ("", "_low", "_high"))
        axes.barh(place, ratio, color="#d9480f" if engine == "ours" else "#adb5bd")
        axes.errorbar(ratio, place, xerr=[[ratio - low], [high - ratio]], color="#343a40", capsize=2)
        axes.text(high + 0.03, place, f"{ratio:.2f}", va="center")
        axes.text(-0.03, place, label, va="center", ha="right")
    axes.set_yticks([])
    axes.set_xlim(0, 3.2)
    axes.set_xlabel(f"time of {MODEL} / time of fleetpose, dense (shorter is faster)")
    figure.suptitle("368x368, float32, two cores of a Xeon with AVX-512 under PoCL; 95 % intervals", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


def engine_table(rows: dict[tuple[str, str, str], Row]) -> str:
    """The README's table: dense networks, our time and the engines' over it."""
    lines = [f"| network | fleetpose | {' | '.join(ENGINES.values())} |", "|-|-|" + "-|" * len(ENGINES)]
    for network, title in NETWORKS.items():
        ratios = [f"{float(rows[network, 'dense', engine]['time_over_ours']):.2f}" for engine in ENGINES]
        ours = float(rows[network, "dense", "ours"]["median_ms"])
        lines.append(f"| {title} | {ours:.0f} ms | {' | '.join(ratios)} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """The README's text with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"README.md lacks the lines {BEGIN!r} and {END!r}, between which the table stands")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def write_table() -> None:
    README.write_text(with_table(README.read_text(encoding="utf-8"), engine_table(read_rows())), encoding="utf-8")


MAKERS = {"people": draw_astronaut, "tracking": draw_tracking, "latency": draw_bars, "table": write_table}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for name in sys.argv[1:] or MAKERS:
        if name not in MAKERS:
            raise SystemExit(f"tools/figures.py makes {', '.join(MAKERS)}, not {name}")
        MAKERS[name]()
