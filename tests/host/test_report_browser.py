"""The report in a real browser: nothing wider than the page, no error on the console, and titles that sort."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from latency.report import write_report
from tests.sample_result import sample_result

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: how the page looks from within, sent to the page around it
PROBE = """
<script>
const table = document.querySelector("table.sortable");
const column = (title) => [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.startsWith(title));
const keys = (index) => [...table.tBodies[0].rows].map((row) => row.cells[index].dataset.key ?? null);
const title = table.tHead.rows[0].cells[column("Dense")];
const button = title.querySelector("button");
const seen = { innerWidth, scrollWidth: document.documentElement.scrollWidth, before: keys(column("Dense")) };
button.focus();
seen.focused = document.activeElement === button;
button.click();
Object.assign(seen, { rising: keys(column("Dense")), sort: title.getAttribute("aria-sort") });
button.click();
Object.assign(seen, { falling: keys(column("Dense")), turned: title.getAttribute("aria-sort") });
table.tHead.rows[0].cells[column("Sparse")].querySelector("button").click();
Object.assign(seen, { kernels: keys(column("Sparse")), left: title.getAttribute("aria-sort") });
const field = document.querySelector(".search input");
field.value = "depthwise";
field.dispatchEvent(new Event("input"));
seen.found = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.dataset.layer);
const svgs = [...document.querySelectorAll("svg")];
seen.drawings = svgs.map((each) => [each.getBoundingClientRect().width, each.getAttribute("aria-label")]);
seen.picture = document.querySelector("img.photograph")?.naturalWidth;
parent.postMessage(JSON.stringify(seen), "*");
</script>
"""
AROUND = """<!doctype html><meta charset="utf-8"><body><script>
addEventListener("message", (event) => {{ document.querySelector("pre").textContent = event.data; }});
</script><iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe><pre id="seen"></pre>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    cv2.imwrite(str(folder / "people.png"), np.zeros((368, 496, 3), np.uint8))
    return write_report(sample_result(), folder)


def look(browser: str, page, width: int, tmp_path) -> tuple[dict, list[str]]:
    """What the probe saw at a width in CSS pixels, which windows need not have, and the console's lines."""
    copy, around = tmp_path / "copy.html", tmp_path / "around.html"
    copy.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    around.write_text(AROUND.format(page=copy.as_uri(), width=width))
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
         "--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width + 100},1000",
         around.as_uri()],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stderr[-2000:]
    assert found[1], f"the probe said nothing; {console}"
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), console


@pytest.mark.parametrize("width", [390, 1440])
def test_report_page_fits_and_is_quiet(browser, page, width, tmp_path):
    seen, console = look(browser, page, width, tmp_path)
    assert console == []
    assert seen["innerWidth"] == width
    assert seen["scrollWidth"] <= width
    assert seen["picture"] == 496
    assert all(drawn > 100 and label for drawn, label in seen["drawings"])


def test_long_names_do_not_widen_the_page(browser, tmp_path):
    result = sample_result()
    for layer in result["layers"]:
        layer.update(name=layer["name"] + "x" * 150, block="block" * 30, reason="why" * 60, dense_schedule="F8V3" * 40)
    for each in (*result["kernels"]["dense"], *result["kernels"]["sparse"]):
        each["name"] += "x" * 150
    result.update(model="model" * 40, weights="weights" * 40, commands=["python " * 60])
    result["device"].update(name="device" * 40, driver="driver" * 40, profile="profile" * 30)
    seen, _ = look(browser, write_report(result, tmp_path / "report"), 390, tmp_path)
    assert seen["scrollWidth"] <= 390


def test_titles_sort_and_layers_are_found(browser, page, tmp_path):
    seen, _ = look(browser, page, 1440, tmp_path)
    layers = sample_result()["layers"]
    before = [float(key) for key in seen["before"]]
    assert before == [layer["dense_ms"] for layer in layers]
    assert before != sorted(before)
    assert [float(key) for key in seen["rising"]] == sorted(before)
    assert [float(key) for key in seen["falling"]] == sorted(before, reverse=True)
    assert (seen["focused"], seen["sort"], seen["turned"], seen["left"]) == (True, "ascending", "descending", None)
    known = [key for key in seen["kernels"] if key is not None]
    assert seen["kernels"] == sorted(known) + [None] * (len(layers) - len(known))
    assert seen["found"] == [name for name in seen["found"] if "depthwise" in name]
    assert len(seen["found"]) == sum("depthwise" in layer["name"] for layer in layers)


def test_report_page_errors_would_be_seen(browser, page, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("</body>", "<script>nothing.at.all</script></body>"))
    _, console = look(browser, broken, 390, tmp_path)
    assert any("ReferenceError" in line for line in console)
