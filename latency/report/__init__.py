"""The report of an optimization: `report.html`, one file that needs nothing else, and `report.md`, the same as text.

`write_report(result, folder)` makes both from what `latency.optimize` found; `python -m latency.report DIR` makes them
again from DIR/result.json. `result` reads that file; `headline`, `layers`, `times`, `model`, `accuracy`, `beside_paper`
and `reproduce` turn its parts into a `document`, which `page` writes as HTML and `markdown` as text. Nothing in here
measures, predicts or decides.
"""

from latency.report.write import HTML, write_report

__all__ = ["HTML", "write_report"]
