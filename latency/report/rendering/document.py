"""The report as values, before it is HTML or Markdown: sections of paragraphs, tables, figures and listings.

Numbers are texts in here: what is measured, predicted, counted or the paper's is said by a cell's mark.
"""

from __future__ import annotations

from dataclasses import dataclass

from latency.report.rendering.markup import Html

#: a cell's mark -> what it says
MARKS = {
    "measured": "measured here on {device}",
    "torch": "measured here in PyTorch",
    "predicted": "predicted for {device}",
    "counted": "counted here",
    "paper": "paper",
    "": "",
}


def mark_text(mark: str, device: str) -> str:
    """Where a number is from, in words; `mark` is a key of MARKS."""
    return MARKS[mark].format(device=device)


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says.
        note: a second, quieter line: an interval, a schedule.
        key: what rows are sorted by (default: the text). Cells without text come last.
        mark: where the number is from, a key of MARKS.
        tone: "sparse" where it is the accent's, "quiet" where it is beside the point.
    """

    text: str
    note: str = ""
    key: float | str | None = None
    mark: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """A column's title and, quieter, its unit. `kind`: "text", "number" (right-aligned), "brief" or "words"
    (both wrapped)."""

    title: str
    unit: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """Cells in columns.

    Attributes:
        caption: for who cannot see the page, and above the table in Markdown.
        layers: of each row, where rows are layers; () elsewhere.
        sortable: by a click on a column's title.
        marked: every cell says where its number is from.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    layers: tuple[str, ...] = ()
    sortable: bool = False
    marked: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture that was drawn here, with its numbers as a table where they are few.

    Attributes:
        caption: how to read it, and what it shows.
        wide: whether the figure needs the whole width.
    """

    title: str
    caption: str
    picture: Html
    table: Table | None = None
    wide: bool = False


@dataclass(frozen=True)
class PhotographPart:
    """A picture file. `source`: its content as a data URI; `file`: its name beside the report."""

    source: str
    file: str
    caption: str


@dataclass(frozen=True)
class Listing:
    """Lines to be copied."""

    title: str
    lines: tuple[str, ...]


Part = str | Table | Figure | PhotographPart | Listing


@dataclass(frozen=True)
class Section:
    """A chapter. `ident` is its anchor, `lead` what it is about in a sentence or two."""

    ident: str
    title: str
    lead: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Fact:
    """One number of the headline: what it is, its value, and what it is compared with or bounded by.

    Attributes:
        tone: the grade of what is kept of the dense network: "kept", "lowered", "lost", or "" where it has none.
    """

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Headline:
    """What a reader sees first.

    Attributes:
        above: what was optimized, small.
        value: the one number, such as 1.32x; "" where there is none.
        sentence: what it says.
        note: what the device is, and what it is not.
        picture: both times as bars.
        cost: what the speed-up costs, in words; "" where that is not known. `tone`: its grade, as a Fact's.
        goal: what was asked for and whether it was reached; `reached` None where that is not known.
    """

    above: str
    value: str
    sentence: str
    note: str
    picture: Html
    goal: str
    reached: bool | None
    facts: tuple[Fact, ...]
    cost: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Document:
    """The whole report. `device`: what marks call D. `origin`: when and by what it was made."""

    title: str
    device: str
    origin: str
    headline: Headline
    sections: tuple[Section, ...]
