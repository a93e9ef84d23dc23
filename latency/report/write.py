"""A result as a document, and the document as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fleetpose.codec.checks import REFUSALS
from fleetpose.errors import QUOTED, DataError, first_line
from fleetpose.files import text_bytes, write_together
from latency.report.rendering.document import Document
from latency.report.rendering.markdown import as_markdown
from latency.report.rendering.page import as_html
from latency.report.result import NAME, check_result, device_label
from latency.report.sections.accuracy import accuracy_section
from latency.report.sections.beside_paper import paper_section
from latency.report.sections.headline import headline_of
from latency.report.sections.layers import layers_section
from latency.report.sections.model import model_section
from latency.report.sections.reproduce import people_section, reproduce_section
from latency.report.sections.times import times_section

HTML, MARKDOWN = "report.html", "report.md"


def write_report(result: dict[str, Any], folder: Path) -> Path:
    """Write report.html and report.md of a result into its folder, in place of those that are there.

    Args:
        result: the content of result.json ("fleetpose.result/1"); what is None in it is said to be missing.
        folder: where the result's picture of people is, too.

    Returns:
        The path of report.html.

    Raises:
        UsageError: no result, one with entries of other kinds, or a folder that cannot be written to.
    """
    check_result(result)
    try:
        document = document_of(result, folder)
        texts = {MARKDOWN: as_markdown(document), HTML: as_html(document)}
    except REFUSALS as error:  # of the hundreds of entries that a report looks at
        said = f"{type(error).__name__}: {first_line(error, QUOTED)}"
        raise DataError(f"an entry of {folder / NAME} is not as latency.optimize writes it ({said})") from error
    write_together({folder / name: text_bytes(text) for name, text in texts.items()}, force=True)
    return folder / HTML


def document_of(result: dict[str, Any], folder: Path) -> Document:
    """The report of a checked result; sections that have nothing to say are left out."""
    sections = (
        times_section(result),
        layers_section(result),
        model_section(result),
        accuracy_section(result),
        people_section(result, folder),
        paper_section(result),
        reproduce_section(result),
    )
    return Document(
        title=f"{result['model']} on {device_label(result)}",
        device=device_label(result),
        origin=_moment(str(result.get("date") or "")),
        headline=headline_of(result),
        sections=tuple(section for section in sections if section is not None),
    )


def _moment(date: str) -> str:
    """An ISO date for people, without fractions of seconds."""
    return re.sub(r"\.\d+", "", date).replace("T", " ").replace("+00:00", " UTC")
