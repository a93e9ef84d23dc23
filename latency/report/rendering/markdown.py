"""The report as Markdown: the same words and numbers; in place of drawings, their numbers where they are few."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from latency.report.rendering.document import (
    Cell,
    Document,
    Figure,
    Headline,
    Listing,
    Part,
    PhotographPart,
    Section,
    Table,
    mark_text,
)  # fmt: skip

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def as_markdown(document: Document) -> str:
    """The whole file."""
    lines = [f"# {escape(document.title)}", *_headline(document.headline)]
    for section in document.sections:
        lines += _section(section, document.device)
    lines += [f"*Made by fleetpose{', ' + escape(document.origin) if document.origin else ''}.*"]
    return "\n\n".join(line for line in lines if line) + "\n"


def escape(said: str) -> str:
    """A text in which nothing is Markdown or HTML, on one line."""
    plain = " ".join(said.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _headline(headline: Headline) -> Iterator[str]:
    yield escape(headline.above)
    value = f"**{escape(headline.value)}** " if headline.value else ""
    yield f"{value}{escape(headline.sentence)}."
    yield f"**{escape(headline.cost)}**" if headline.cost else ""
    yield escape(headline.note)
    yield f"**{escape(headline.goal)}**"
    rows = [f"| {escape(fact.label)} | {escape(fact.value)} | {escape(fact.note)} |" for fact in headline.facts]
    yield "\n".join(["| | | |", "|-|-:|-|", *rows])


def _section(section: Section, device: str) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    yield escape(section.lead)
    for part in section.parts:
        yield from _part(part, device)


def _part(part: Part, device: str) -> Iterator[str]:
    if isinstance(part, str):
        yield escape(part)
    elif isinstance(part, Table):
        yield f"### {escape(part.caption)}"
        yield _table(part, device)
    elif isinstance(part, Figure):
        if part.table is not None:
            yield f"### {escape(part.table.caption)}"
            yield _table(part.table, device)
    elif isinstance(part, PhotographPart):
        yield f"![{escape(part.caption)}](<{re.sub(r'[<>]', '', part.file)}>)"
    elif isinstance(part, Listing):
        yield f"### {escape(part.title)}"
        yield _listing(part.lines)


def _listing(lines: tuple[str, ...]) -> str:
    """Lines in a fence that is longer than any within."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *lines, fence])


def _table(table: Table, device: str) -> str:
    titles = [f"{column.title}, {column.unit}" if column.unit else column.title for column in table.columns]
    rules = ["-:" if column.kind == "number" else "-" for column in table.columns]
    rows = [[_cell(cell, device if table.marked else "") for cell in row] for row in table.rows]
    return "\n".join([_row(map(escape, titles)), f"|{'|'.join(rules)}|", *map(_row, rows)])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell, device: str) -> str:
    """Text, note in brackets, and where the number is from in italics, unless `device` is ""."""
    said = escape(cell.text) + (f" ({escape(cell.note)})" if cell.note else "")
    mark = mark_text(cell.mark, device) if device else ""
    return f"{said} *{escape(mark)}*" if mark else said
