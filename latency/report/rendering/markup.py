"""HTML and SVG elements as text in which everything is escaped that was not made here.

Layer names, reasons and commands come from users. A plain `str` is therefore escaped wherever it is put; only what
`element` made is `Html` and is left as it is. Gluing the two with + gives a plain str, which is escaped: what goes
wrong shows, and does no harm.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

_VOID = frozenset(("img", "input", "meta", "link", "br"))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(value: Any) -> Html:
    """A value as markup: Html as it is, numbers short, iterables joined, None left out, all else escaped."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html()
    if isinstance(value, float):
        return Html(f"{value:.2f}".rstrip("0").rstrip("."))
    if isinstance(value, Iterable) and not isinstance(value, str):
        return Html("".join(map(escape, value)))
    return Html(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))))


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """An element.

    Args:
        tag: name of the element, a constant.
        children: see `escape`.
        attributes: a trailing underscore goes, others become hyphens (class_, data_key); None and False are left
            out, True has no value.
    """
    said = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        said.append(f" {name}" if value is True else f' {name}="{escape(value)}"')
    inner = escape(children)
    return Html(f"<{tag}{''.join(said)}>{inner}{'' if tag in _VOID else f'</{tag}>'}")
