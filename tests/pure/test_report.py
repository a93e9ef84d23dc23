"""The report: what it says, that it says so where something is missing, and that nothing in it becomes markup."""

from __future__ import annotations

import copy
import json
from html.parser import HTMLParser

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from latency.report import write_report
from latency.report.__main__ import main, make_parser
from latency.report.rendering.formats import DASH, MINUS, TIMES, as_printed
from latency.report.rendering.markdown import escape
from latency.report.sections.agreement import loss_text
from latency.report.sections.headline import goal_text
from models.zoo.paper import TABLE_1, TABLE_2
from tests.sample_result import agreement, sample_result

EVIL = """<script>alert("1")</script>|`*_'&amp;<img src=x onerror=alert(2)>"""
VOID = {"meta", "link", "img", "input", "br", "wbr"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


class Page(HTMLParser):
    """A page as lists: its tags with attributes and its texts. Elements have to close where they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def named(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]


def made(result, folder) -> tuple[Page, str]:
    path = write_report(result, folder)
    assert path == folder / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page, (folder / "report.md").read_text(encoding="utf-8")


def test_report_files_both_say_what_was_found(tmp_path):
    (tmp_path / "people.png").write_bytes(PNG)
    result = sample_result()
    page, markdown = made(result, tmp_path)
    found = result["headline"]
    for text in (page.text, markdown):
        assert f"{found['speedup']:.2f}{TIMES}" in text
        assert f"{found['dense_ms']:.1f} ms" in text
        assert f"{found['sparse_ms']:.1f} ms" in text
        assert f"{MINUS}0.018" in text
        assert "0.449 → 0.431" in text
        assert "Part of what the dense network finds is lost: agreement 0.66, interval 0.61" in text
        assert f"0.61{DASH}0.70, 0.88 at OKS 0.5." in text
        assert "54 of 61 people found again" in text
        assert "divergence of the maps 0.041" in text
        assert "Goal: a speed-up of 1.3. Reached." in text
        assert "It is not a phone" in text
        assert "3 people found" in text
        assert all(line in text for line in result["commands"])
        for layer in result["layers"]:
            assert layer["reason"] in text
            assert f"{layer['dense_ms']:.3f}" in text
    assert [row["data-layer"] for row in page.named("tr") if "data-layer" in row] == [
        layer["name"] for layer in result["layers"]
    ]
    assert len(page.named("svg")) == 6 + len(result["sensitivity"]["blocks"])


def test_report_page_needs_no_other_file(tmp_path):
    (tmp_path / "people.png").write_bytes(PNG)
    page, _ = made(sample_result(), tmp_path)
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.named("a")} <= set(ids)
    assert all(image["alt"] for image in page.named("img"))
    assert all(drawing["aria-label"] for drawing in page.named("svg"))


def poisoned(value, key=""):
    """A result in which every text that is free is EVIL."""
    if isinstance(value, dict):
        return {poisoned_key(key, name): poisoned(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, key) for each in value]
    fixed_texts = ("format", "kind", "decision", "image", "measure")
    return EVIL if isinstance(value, str) and key not in fixed_texts else value


def poisoned_key(above: str, name: str) -> str:
    return EVIL + name if above in ("blocks", "environment", "verify", "input_sizes") and name[0].isalpha() else name


def test_report_escapes_what_a_user_wrote(tmp_path):
    clean, _ = made(sample_result(), tmp_path)
    page, markdown = made(poisoned(sample_result()), tmp_path)
    assert len(page.named("script")) == len(clean.named("script")) == 1
    assert not page.named("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL.split("|")[0] in page.text
    fenced = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            assert "<script" not in line
            assert "<img" not in line
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and "MMACs" in line]
    assert len(rows) == len(sample_result()["layers"])
    assert {row.replace("\\|", "").count("|") for row in rows} == {13}


def test_parts_of_an_inference_add_up_to_the_headline(tmp_path):
    result = sample_result()
    _, markdown = made(result, tmp_path)
    rows = [line for line in markdown.splitlines() if line.startswith(("| layers' kernels", "| between", "| outside"))]
    total = next(line for line in markdown.splitlines() if line.startswith("| an inference"))
    for column in (2, 3):
        parts = [float(row.split("|")[column]) for row in rows]
        assert len(parts) == 3
        assert sum(parts) == pytest.approx(float(total.split("|")[column]), abs=0.02)
        inside = [line.split("|")[7].split("\N{RIGHTWARDS ARROW}") for line in markdown.splitlines() if "MMACs" in line]
        layers = [float(pair[column - 2]) for pair in inside if len(pair) == 2]
        assert sum(layers) == pytest.approx(parts[0], rel=0.05)  # kernels that are no layer are parts, too


def test_a_picture_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "in"
    result = {**sample_result(), "people": {"image": "../secret.png", "count": 1}}
    page, markdown = made(result, folder)
    assert not page.named("img")
    assert "The picture secret.png is not in the folder" in page.text
    (folder / "secret.png").write_text("no picture")
    page, markdown = made(result, folder)
    assert not page.named("img")
    assert "1 person found" in markdown


def without(result: dict) -> dict:
    """The result with everything null that may be."""
    result = copy.deepcopy(result)
    bare = ("dense_schedule", "dense_ms", "dense_iqr_ms", "sparse_schedule", "sparse_ms", "sparse_iqr_ms", "variant",
            "measured_ratio", "predicted_ratio", "predicted_interval", "predicted_dense_ms", "predicted_sparse_ms",
            "break_even", "block")  # fmt: skip
    for layer in result["layers"]:
        layer.update(dict.fromkeys((*bare, "fastest_tried")), decision="dense", zeros=0.0)
    result["headline"].update(dict.fromkeys(result["headline"]))
    result["device"]["driver"] = None
    empty = dict.fromkeys(("weights", "goal", "sensitivity", "people", "date"))
    return {**result, **empty, "curves": [], "kernels": {"dense": [], "sparse": []}, "breakdown": {}, "verify": {},
            "commands": [], "predictor": {"metrics": {}, "pairs": []}, "environment": {}, "stages": []}  # fmt: skip


def test_report_says_what_is_missing(tmp_path):
    page, markdown = made(without(sample_result()), tmp_path)
    for text in (page.text, markdown):
        assert "The speed-up on host-avx2 is not known: nothing was measured" in text
        assert "random weights have none" in text
        assert "No goal was set" in text
        assert "None" not in text
        assert "nan" not in text
    headings = [line for line in markdown.splitlines() if line.startswith("## ")]
    assert headings == ["## Layer by layer", "## Beside the paper", "## To reproduce this"]


@pytest.mark.parametrize(
    "name", ["predicted_interval", "speedup_interval", "ap_dense", "ap_change_interval", "agreement", "sparse_ms"]
)
def test_report_headline_bears_one_missing_number(tmp_path, name):
    result = sample_result()
    result["headline"][name] = None
    page, markdown = made(result, tmp_path)
    assert "None" not in page.text + markdown


def test_a_network_without_layers_and_keys_that_are_left_out(tmp_path):
    result = {"format": "fleetpose.result/1", "model": "m", "device": {}, "headline": {}, "layers": []}
    page, markdown = made(result, tmp_path)
    assert "The speed-up on an unnamed device is not known" in page.text
    assert "None" not in page.text + markdown


@pytest.mark.parametrize(
    ("goal", "changes", "said", "reached"),
    [
        (("speedup", 1.3), {"speedup": 1.4, "speedup_interval": [1.35, 1.5]}, "Reached.", True),
        (("speedup", 1.3), {"speedup": 1.4, "speedup_interval": [1.2, 1.5]}, "Reached, but within the spread", True),
        (("speedup", 1.3), {"speedup": 1.29, "speedup_interval": [1.2, 1.35]}, "Open: what was measured spreads", None),
        (("speedup", 1.3), {"speedup": 1.2, "speedup_interval": [1.1, 1.25]}, "Not reached.", False),
        (("speedup", 1.5), {"speedup": 1.4, "speedup_interval": None}, "Not reached.", False),
        (("speedup", 1.5), {"speedup": None}, "Not measured.", None),
        (("target_ms", 100), {"sparse_ms": 99.0, "sparse_iqr_ms": [98, 99.5]}, "Goal: 100 ms or less. Reached.", True),
        (("target_ms", 90), {"sparse_ms": 99.0, "sparse_iqr_ms": [98, 99.5]}, "Not reached.", False),
        (("max_loss", 0.02), {"ap_dense": 0.449, "ap_sparse": 0.431}, "Reached.", True),
        (("max_loss", 0.01), {"ap_dense": 0.449, "ap_sparse": 0.431}, "Not reached.", False),
        (("max_loss", 0.01), {"ap_dense": 0.449, "ap_sparse": None}, "no measured AP", None),
    ],
)
def test_report_headline_names_every_goal(goal, changes, said, reached):
    result = sample_result()
    result["goal"] = {"kind": goal[0], "value": goal[1]}
    result["headline"].update(changes)
    text, verdict = goal_text(result)
    assert said in text
    assert verdict is reached


@pytest.mark.parametrize(
    ("facts", "tone", "words"),
    [
        (agreement(0.96, [0.7, 0.8]), "kept", "It finds what the dense network finds: agreement 0.72"),
        (agreement(0.88), "lowered", "Part of what the dense network finds is lost: agreement 0.66, 0.88 at OKS 0.5."),
        (agreement(0.4), "lost", "Much of what the dense network finds is lost: agreement 0.30, 0.40 at OKS 0.5."),
        (
            agreement(0.0),
            "lost",
            "Nobody whom the dense network finds is found again: agreement 0.00, 0.00 at",
        ),
        (agreement(None, why_none="not defined: nobody"), "", "Agreement with the dense network: not defined: nobody."),
    ],
)
def test_a_drop_looks_like_one(tmp_path, facts, tone, words):
    result = sample_result()
    result["headline"] |= {"agreement": facts, "ap_dense": None, "ap_sparse": None}
    page, markdown = made(result, tmp_path)
    for text in (page.text, markdown):
        assert words in text
        assert "None" not in text
    assert [title.get("class") for title in page.named("h1")] == [tone or None]
    values = [value.get("class") for value in page.named("dd")]
    assert (tone in values) if tone else not {"kept", "lowered", "lost"} & set(values)


def test_a_lost_ap_outweighs_agreement(tmp_path):
    result = sample_result()
    result["headline"] |= {"agreement": agreement(0.96), "ap_dense": 0.45, "ap_sparse": 0.2}
    page, _ = made(result, tmp_path)
    assert page.named("h1")[0]["class"] == "lost"


def test_photographs_that_were_pruned_on_are_said_to_be(tmp_path):
    result = sample_result()
    result["headline"]["agreement"]["held_out"] = False
    page, markdown = made(result, tmp_path)
    assert "the network was pruned on them" in page.text
    assert "the network was pruned on them" in markdown


def test_a_layer_far_longer_than_the_others_is_cut_and_bears_its_time(tmp_path):
    result = sample_result()
    page, _ = made(result, tmp_path)
    assert "Bars that are cut" not in page.text
    result["layers"][4]["dense_ms"] = 432.1
    page, _ = made(result, tmp_path)
    assert "Bars that are cut bear their time." in page.text
    assert page.texts.count("432.1") == 1


def test_checks_of_two_artifacts_stand_beside_each_other(tmp_path):
    result = sample_result()
    one = result["verify"]
    result["verify"] = {"dense": one, "sparse": {**one, "max_abs_error": 0.5}, "ok": True}
    _, markdown = made(result, tmp_path)
    assert "| max abs error | 8.1e-06 | 0.5 |" in markdown
    assert "| ok | yes | yes |" in markdown
    assert "device driver" not in markdown


def test_the_pace_stands_with_the_conditions(tmp_path):
    result = sample_result()
    result["headline"] |= {"pace": 1.2345, "conditions": {"gpu_clock_mhz": 800}}
    _, markdown = made(result, tmp_path)
    assert "| reference kernel's time over its usual one | 1.23 |" in markdown


def test_what_was_tried_and_not_chosen_stands_in_grey(tmp_path):
    result = sample_result()
    page, markdown = made(result, tmp_path)
    layer = next(each for each in result["layers"] if each["decision"] == "dense" and each["fastest_tried"])
    row = next(line for line in markdown.splitlines() if line.startswith(f"| {escape(layer['name'])} "))
    tried = layer["fastest_tried"]
    assert f"| {tried['variant']} | {tried['ms']:.3f} | " in row
    assert f" | {tried['measured_ratio']:.2f}{TIMES} |" in row
    assert any(cell.get("class") == "number quiet" for cell in page.named("td"))


def test_a_slower_network_and_one_that_stays_dense_are_called_so(tmp_path):
    result = sample_result()
    result["headline"]["speedup"] = 0.9
    page, _ = made(result, tmp_path)
    assert f"0.90{TIMES} of the dense network's speed on host-avx2: the sparse network is the slower one" in page.text
    for layer in result["layers"]:
        layer["decision"] = "dense"
    page, _ = made(result, tmp_path)
    assert "no layer was pruned" in page.text


def test_a_prediction_is_not_taken_for_a_measurement(tmp_path):
    result = sample_result()
    result["headline"].update(dict.fromkeys(("speedup", "dense_ms", "sparse_ms", "dense_iqr_ms", "sparse_iqr_ms")))
    _, markdown = made(result, tmp_path)
    said = f"**{result['headline']['predicted_speedup']:.2f}{TIMES}** as fast as the same network dense, predicted for"
    assert said in markdown
    assert "measured here on host-avx2" not in markdown[markdown.index("### Figure 3") :]


def test_a_phone_is_not_called_a_host(tmp_path):
    result = sample_result()
    result["device"] = {"name": "Mali-G76", "profile": "mali-g76", "driver": "r26", "host": False}
    page, _ = made(result, tmp_path)
    assert "Device: Mali-G76, r26, over RPC." in page.text
    assert "(PoCL)" not in page.text.split("To reproduce this")[0]


def test_numbers_of_the_paper_bear_its_name_and_ours_the_device(tmp_path):
    result = sample_result()
    _, markdown = made(result, tmp_path)
    paper = markdown[markdown.index("## Beside the paper") :]
    for facts in TABLE_1.values():
        assert f"{facts.gmacs:g} *paper*" in paper
    for row in TABLE_2:
        assert f"| {row.side} *paper* |" in paper
        assert f"{as_printed(row.ap, 2)} *paper*" in paper
    speed = f"{result['headline']['speedup']:.2f}{TIMES}"
    own = next(line for line in paper.splitlines() if "this result, measured" in line)
    assert own.count(f"{speed} *measured here on host-avx2*") == 2
    assert "*paper*" not in own
    assert "0.431 *measured here in PyTorch*" in paper
    assert f"1.46{TIMES} (ratio of two bars) *paper*" in paper
    result["model"] = "resnet50_3"
    _, markdown = made(result, tmp_path)
    own = next(line for line in markdown.splitlines() if "this result, measured" in line)
    assert own.count(speed) == 1
    assert "not timed beside it" in own


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot read"), ("{", "not JSON"), ("[]", "format"), ('{"format": "fleetpose.result/1"}', "no 'model'")],
)
def test_report_refuses_what_is_no_result(tmp_path, capsys, text, message):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    assert cli.run(main, make_parser(), [str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_report_command_makes_both_files_again(tmp_path, capsys):
    (tmp_path / "result.json").write_text(json.dumps(sample_result()))
    (tmp_path / "report.html").write_text("old")
    assert cli.run(main, make_parser(), [str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"html": str(tmp_path / "report.html"), "markdown": str(tmp_path / "report.md")}
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_a_result_of_another_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="format is not"):
        write_report({**sample_result(), "format": "fleetpose.result/2"}, tmp_path)


def with_losses(measured: float | None) -> dict:
    result = sample_result()
    result["headline"] |= {
        "predicted_loss": {"unit": "AP", "lost": 0.022, "low": 0.006, "high": 0.041, "divergence": 0.31, "plans": 4,
                           "photographs": 32},
        "measured_loss": measured,
    }  # fmt: skip
    return {**result, "goal": {"kind": "max_loss", "value": 0.02}}


def test_report_sets_the_predicted_loss_beside_the_measured_one(tmp_path):
    page, markdown = made(with_losses(0.018), tmp_path)
    assert "Predicted loss, AP" in page.text
    assert all(text in markdown for text in ("0.006", "0.041", "measured 0.018"))
    assert goal_text(with_losses(0.018)) == ("Goal: 0.02 AP lost or less. Reached.", True)
    assert goal_text(with_losses(0.03))[1] is False
    assert goal_text(with_losses(None))[1] is None


def test_terminal_says_the_predicted_and_the_measured_loss():
    assert loss_text(with_losses(0.018)["headline"]) == (
        "AP lost: 0.022 predicted (0.006 to 0.041) by 4 plans on 32 photographs; 0.018 measured"
    )
    assert loss_text(with_losses(None)["headline"]).endswith(", not measured")
    assert loss_text(sample_result()["headline"]) == ""
