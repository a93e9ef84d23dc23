"""The report as one HTML file that needs no network: page.css and page.js stand in it, and nothing else is loaded.

Readable without scripts; with them tables sort, layers can be searched, and a layer's row lights up in the drawings.
"""

from __future__ import annotations

import re
from importlib.resources import files

from latency.report.rendering.document import (
    Cell,
    Column,
    Document,
    Fact,
    Figure,
    Headline,
    Listing,
    Part,
    PhotographPart,
    Section,
    Table,
    mark_text,
)  # fmt: skip
from latency.report.rendering.formats import NOTHING
from latency.report.rendering.markup import Html, element, escape

#: what a browser may load: nothing but what stands in the file
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
#: tables of more rows can be searched
SEARCHED = 12


def as_html(document: Document) -> str:
    """The whole file."""
    body = element(
        "body",
        element("header", _headline(document.headline), _contents(document.sections), class_="top"),
        element("main", [_section(section, document.device) for section in document.sections]),
        element("footer", f"Made by fleetpose{', ' + document.origin if document.origin else ''}."),
        element("script", _asset("page.js")),
    )
    return "<!doctype html>\n" + element("html", _head(document.title), body, lang="en") + "\n"


def _asset(name: str) -> Html:
    """A file of this package, as it is; it must not end its own element."""
    return Html(files("latency.report.rendering").joinpath(name).read_text(encoding="utf-8"))


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{title} | fleetpose"),
        element("style", _asset("page.css")),
    )


def _headline(headline: Headline) -> Html:
    tone = {True: "goal reached", False: "goal missed", None: "goal"}[headline.reached]
    words = element(
        "div",
        element("p", headline.above, class_="above"),
        element(
            "h1",
            element("strong", f"{headline.value} ") if headline.value else None,
            element("span", _clauses(headline.sentence)),
            class_=headline.tone or None,
        ),
        element("p", headline.cost, class_=f"cost {headline.tone}".strip()) if headline.cost else None,
        element("p", headline.goal, class_=tone),
    )
    beside = element("div", headline.picture, element("p", headline.note, class_="note"))
    facts = element("dl", [_fact(fact) for fact in headline.facts], class_="facts")
    return escape([element("div", words, beside, class_="headline"), facts])


def _fact(fact: Fact) -> Html:
    note = element("dd", _clauses(fact.note), class_="note") if fact.note else None
    return element("div", element("dt", fact.label), element("dd", fact.value, class_=fact.tone or None), note)


def _clauses(said: str) -> Html:
    """What stands between commas stays on one line where there is room for it, so that ranges are not torn."""
    *clauses, last = said.split(", ")
    return escape([*(element("span", f"{clause}, ") for clause in clauses), element("span", last)])


def _breakable(name: str) -> Html:
    """A dotted name that may be broken behind its dots and underscores."""
    return Html(re.sub(r"([._:])(?=\w)", r"\1<wbr>", escape(name)))


def _contents(sections: tuple[Section, ...]) -> Html:
    links = [element("li", element("a", section.title, href=f"#{section.ident}")) for section in sections]
    return element("nav", element("ul", links), aria_label="Sections")


def _section(section: Section, device: str) -> Html:
    """Figures that are not wide, and narrow tables, stand beside each other, up to three in a row."""
    title = element("h2", section.title, id=f"{section.ident}-title")
    parts = [_part(part, device) for part in section.parts]
    beside = sum(not _is_full(part) for part in section.parts)
    lead, laid = element("p", section.lead, class_="lead"), element("div", parts, class_=f"parts of-{min(beside, 3)}")
    return element(
        "section", title, lead, laid,
        id=section.ident, aria_labelledby=f"{section.ident}-title",
    )  # fmt: skip


def _is_full(part: Part) -> bool:
    """Whether a part takes the whole width."""
    if isinstance(part, Table):
        return len(part.columns) > 3
    return part.wide if isinstance(part, Figure) else True


def _full(part: Part) -> str | None:
    return "full" if _is_full(part) else None


def _part(part: Part, device: str) -> Html:
    if isinstance(part, str):
        return element("p", part, class_="aside full")
    if isinstance(part, Table):
        return _standing(part, device)
    if isinstance(part, Figure):
        return _figure(part, device)
    if isinstance(part, PhotographPart):
        return element("img", src=part.source, alt=part.caption, class_="photograph full")
    return _listing(part)


def _standing(table: Table, device: str) -> Html:
    """A table under its title; a wide one takes the whole width."""
    title = None if table.sortable else element("h3", table.caption)
    return element("div", title, _search(table), _table(table, device), class_=_full(table))


def _search(table: Table) -> Html | None:
    """A field that scripts show and serve."""
    if not table.layers or len(table.rows) <= SEARCHED:
        return None
    field = element("input", type="search", placeholder="name, kernel, reason", autocomplete="off")
    return element("label", element("span", "Search layers"), field, element("output"), class_="search", hidden=True)


def _figure(figure: Figure, device: str) -> Html:
    numbers = None
    if figure.table is not None:
        summary = element("summary", "The numbers")
        numbers = element("details", summary, _table(figure.table, device))
    title, caption = element("h3", figure.title), element("figcaption", figure.caption)
    drawing = element("div", figure.picture, class_="drawing", tabindex="0") if figure.wide else figure.picture
    return element("figure", title, drawing, caption, numbers, class_=_full(figure))


def _listing(listing: Listing) -> Html:
    lines = "\n".join(listing.lines)
    return element(
        "div", element("h3", listing.title), element("pre", element("code", lines), tabindex="0"), class_="full"
    )


def _table(table: Table, device: str) -> Html:
    """A table in a box that scrolls by itself; keyboards reach the box."""
    head = element("thead", element("tr", [_title(column, table.sortable) for column in table.columns]))
    names = table.layers or (None,) * len(table.rows)
    rows = [
        element("tr", [_cell(*pair, index == 0, device, table.marked) for index, pair in
                       enumerate(zip(row, table.columns, strict=True))], data_layer=name)
        for row, name in zip(table.rows, names, strict=True)
    ]  # fmt: skip
    caption = element("caption", table.caption, class_="unseen")
    grid = element("table", caption, head, element("tbody", rows), class_="sortable" if table.sortable else None)
    return element("div", grid, class_="scroll", role="region", aria_label=table.caption, tabindex="0")


def _title(column: Column, sortable: bool) -> Html:
    said = [element("span", column.title), element("small", column.unit) if column.unit else None]
    inner = element("button", said, type="button") if sortable else said
    return element("th", inner, scope="col", class_=column.kind)


def _cell(cell: Cell, column: Column, first: bool, device: str, marked: bool) -> Html:
    """The key is what is sorted by; it is left out where there is nothing."""
    where = mark_text(cell.mark, device)
    key = (cell.text if cell.key is None else cell.key) if cell.text != NOTHING else None
    children = [
        _breakable(cell.text) if first or column.kind == "brief" else cell.text,
        element("small", cell.note) if cell.note else None,
        element("small", where, class_=f"mark {cell.mark}") if marked and where else None,
    ]
    return element(
        "th" if first else "td", children, scope="row" if first else None, title=where or None,
        class_=f"{column.kind} {cell.tone}".strip(), data_key=None if key is None else str(key),
    )  # fmt: skip
