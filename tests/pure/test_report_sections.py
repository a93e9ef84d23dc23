"""What the report says and draws: goals, losses, layers, conditions, and the paper's numbers beside ours."""

from __future__ import annotations

import pytest

from latency.report.rendering.formats import TIMES, as_printed
from latency.report.rendering.markdown import escape
from latency.report.sections.agreement import loss_text
from latency.report.sections.headline import goal_text
from models.zoo.paper import TABLE_1, TABLE_2
from tests.report_page import write_page
from tests.sample_result import agreement, sample_result


def test_parts_of_an_inference_add_up_to_the_headline(tmp_path):
    result = sample_result()
    _, markdown = write_page(result, tmp_path)
    rows = [line for line in markdown.splitlines() if line.startswith(("| layers' kernels", "| between", "| outside"))]
    total = next(line for line in markdown.splitlines() if line.startswith("| an inference"))
    for column in (2, 3):
        parts = [float(row.split("|")[column]) for row in rows]
        assert len(parts) == 3
        assert sum(parts) == pytest.approx(float(total.split("|")[column]), abs=0.02)
        inside = [line.split("|")[7].split("\N{RIGHTWARDS ARROW}") for line in markdown.splitlines() if "MMACs" in line]
        layers = [float(pair[column - 2]) for pair in inside if len(pair) == 2]
        assert sum(layers) == pytest.approx(parts[0], rel=0.05)  # kernels that are no layer are parts, too


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
    page, markdown = write_page(result, tmp_path)
    for text in (page.text, markdown):
        assert words in text
        assert "None" not in text
    assert [title.get("class") for title in page.named("h1")] == [tone or None]
    values = [value.get("class") for value in page.named("dd")]
    assert (tone in values) if tone else not {"kept", "lowered", "lost"} & set(values)


def test_a_lost_ap_outweighs_agreement(tmp_path):
    result = sample_result()
    result["headline"] |= {"agreement": agreement(0.96), "ap_dense": 0.45, "ap_sparse": 0.2}
    page, _ = write_page(result, tmp_path)
    assert page.named("h1")[0]["class"] == "lost"


def test_photographs_that_were_pruned_on_are_said_to_be(tmp_path):
    result = sample_result()
    result["headline"]["agreement"]["held_out"] = False
    page, markdown = write_page(result, tmp_path)
    assert "the network was pruned on them" in page.text
    assert "the network was pruned on them" in markdown


def test_a_layer_far_longer_than_the_others_is_cut_and_bears_its_time(tmp_path):
    result = sample_result()
    page, _ = write_page(result, tmp_path)
    assert "Bars that are cut" not in page.text
    result["layers"][4]["dense_ms"] = 432.1
    page, _ = write_page(result, tmp_path)
    assert "Bars that are cut bear their time." in page.text
    assert page.texts.count("432.1") == 1


def test_checks_of_two_artifacts_stand_beside_each_other(tmp_path):
    result = sample_result()
    one = result["verify"]
    result["verify"] = {"dense": one, "sparse": {**one, "max_abs_error": 0.5}, "ok": True}
    _, markdown = write_page(result, tmp_path)
    assert "| max abs error | 8.1e-06 | 0.5 |" in markdown
    assert "| ok | yes | yes |" in markdown
    assert "device driver" not in markdown


def test_the_pace_stands_with_the_conditions(tmp_path):
    result = sample_result()
    result["headline"] |= {"pace": 1.2345, "conditions": {
        "gpu_clock_mhz": 800, "cpu_busy_secs": 5417.25, "marks": ["throttled", "busy"],
    }}  # fmt: skip
    _, markdown = write_page(result, tmp_path)
    assert "| reference kernel's time over its usual one | 1.23 |" in markdown
    assert "| marks | throttled, busy |" in markdown
    assert "5417" not in markdown


def test_a_sustained_run_stands_with_the_latency(tmp_path):
    result = sample_result()
    windows = {
        name: {"dense_ms": 40.0, "sparse_ms": ms, "speedup": 40 / ms} for name, ms in (("first", 10.0), ("last", 16))
    }
    result["headline"]["sustained"] = {
        "minutes": 10, **windows, "slower": {"dense": 1.0, "sparse": 1.6}, "throttled": True,
        "slower_interval": {"dense": None, "sparse": [1.55, 1.65]},
    }  # fmt: skip
    _, markdown = write_page(result, tmp_path)
    (row,) = [line for line in markdown.splitlines() if "Latency after 10 minutes" in line]
    assert "16.00 ms" in row
    assert f"10.00 ms at first, 2.50{TIMES} as fast as dense, 1.60{TIMES} as long as at first (1.550" in row
    assert "the device slows itself down" in row
    del result["headline"]["sustained"]["slower_interval"]
    assert "as long as at first" not in write_page(result, tmp_path)[1]


def test_what_was_tried_and_not_chosen_stands_in_grey(tmp_path):
    result = sample_result()
    page, markdown = write_page(result, tmp_path)
    layer = next(each for each in result["layers"] if each["decision"] == "dense" and each["fastest_tried"])
    row = next(line for line in markdown.splitlines() if line.startswith(f"| {escape(layer['name'])} "))
    tried = layer["fastest_tried"]
    assert f"| {tried['variant']} | {tried['ms']:.3f} | " in row
    assert f" | {tried['measured_ratio']:.2f}{TIMES} |" in row
    assert any(cell.get("class") == "number quiet" for cell in page.named("td"))


def test_sparse_layer_bears_the_probability_that_it_is_faster(tmp_path):
    result = sample_result()
    layer = next(each for each in result["layers"] if each["decision"] == "sparse")
    _, markdown = write_page(result, tmp_path)
    row = next(line for line in markdown.splitlines() if line.startswith(f"| {escape(layer['name'])} "))
    assert "zeros, faster with 97 %" in row
    for one in result["layers"]:
        del one["probability_faster"]  # a result of before
    _, markdown = write_page(result, tmp_path)
    assert "zeros, faster" not in markdown


def test_a_slower_network_and_one_that_stays_dense_are_called_so(tmp_path):
    result = sample_result()
    result["headline"]["speedup"] = 0.9
    page, _ = write_page(result, tmp_path)
    assert f"0.90{TIMES} of the dense network's speed on host-avx2: the sparse network is the slower one" in page.text
    for layer in result["layers"]:
        layer["decision"] = "dense"
    page, _ = write_page(result, tmp_path)
    assert "no layer was pruned" in page.text


def test_a_prediction_is_not_taken_for_a_measurement(tmp_path):
    result = sample_result()
    result["headline"].update(dict.fromkeys(("speedup", "dense_ms", "sparse_ms", "dense_iqr_ms", "sparse_iqr_ms")))
    _, markdown = write_page(result, tmp_path)
    said = f"**{result['headline']['predicted_speedup']:.2f}{TIMES}** as fast as the same network dense, predicted for"
    assert said in markdown
    assert "measured here on host-avx2" not in markdown[markdown.index("### Figure 3") :]


def test_a_phone_is_not_called_a_host(tmp_path):
    result = sample_result()
    result["device"] = {"name": "Mali-G76", "profile": "mali-g76", "driver": "r26", "host": False}
    page, _ = write_page(result, tmp_path)
    assert "Device: Mali-G76, r26, over RPC." in page.text
    assert "(PoCL)" not in page.text.split("To reproduce this")[0]


def test_numbers_of_the_paper_bear_its_name_and_ours_the_device(tmp_path):
    result = sample_result()
    _, markdown = write_page(result, tmp_path)
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
    _, markdown = write_page(result, tmp_path)
    own = next(line for line in markdown.splitlines() if "this result, measured" in line)
    assert own.count(speed) == 1
    assert "not timed beside it" in own


def with_losses(measured: float | None) -> dict:
    result = sample_result()
    result["headline"] |= {
        "predicted_loss": {"unit": "AP", "lost": 0.022, "low": 0.006, "high": 0.041, "divergence": 0.31, "plans": 4,
                           "photographs": 32},
        "measured_loss": measured,
    }  # fmt: skip
    return {**result, "goal": {"kind": "max_loss", "value": 0.02}}


def test_report_sets_the_predicted_loss_beside_the_measured_one(tmp_path):
    page, markdown = write_page(with_losses(0.018), tmp_path)
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
