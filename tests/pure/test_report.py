"""The report's two files: that they say the same, miss nothing, load nothing, and make no markup of a user's text."""

from __future__ import annotations

import copy
import json

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from latency.report import write_report
from latency.report.__main__ import main, make_parser
from latency.report.rendering.formats import DASH, MINUS, TIMES
from tests.report_page import PNG, write_page
from tests.sample_result import sample_result

EVIL = """<script>alert("1")</script>|`*_'&amp;<img src=x onerror=alert(2)>"""


def test_report_files_both_say_what_was_found(tmp_path):
    (tmp_path / "people.png").write_bytes(PNG)
    result = sample_result()
    page, markdown = write_page(result, tmp_path)
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
    page, _ = write_page(sample_result(), tmp_path)
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
    clean, _ = write_page(sample_result(), tmp_path)
    page, markdown = write_page(poisoned(sample_result()), tmp_path)
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


def test_a_picture_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "in"
    result = {**sample_result(), "people": {"image": "../secret.png", "count": 1}}
    page, markdown = write_page(result, folder)
    assert not page.named("img")
    assert "The picture secret.png is not in the folder" in page.text
    (folder / "secret.png").write_text("no picture")
    page, markdown = write_page(result, folder)
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
    page, markdown = write_page(without(sample_result()), tmp_path)
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
    page, markdown = write_page(result, tmp_path)
    assert "None" not in page.text + markdown


def test_a_network_without_layers_and_keys_that_are_left_out(tmp_path):
    result = {"format": "fleetpose.result/1", "model": "m", "device": {}, "headline": {}, "layers": []}
    page, markdown = write_page(result, tmp_path)
    assert "The speed-up on an unnamed device is not known" in page.text
    assert "None" not in page.text + markdown


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
