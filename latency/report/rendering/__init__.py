"""How a report is written: HTML page, Markdown, SVG drawings."""
