"""A package as its records say, read by NumPy and not by what wrote it or by the C runtime."""

from __future__ import annotations

import numpy as np

from runtime import package_format as records


class ReadPackage:
    """The sections of a package, their records, and what strings they name."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sections = records.read_sections(content)

    def rows(self, kind):
        return np.frombuffer(self.sections[kind], records.RECORDS[kind])

    def text(self, offset):
        strings = self.sections[records.STRINGS]
        return strings[offset : strings.index(b"\0", offset)].decode()

    @property
    def programs(self):
        """The text of each kernel by its name."""
        sources = self.sections[records.SOURCES].decode()
        return {
            self.text(row["name"]): sources[row["preamble"] :][: row["preamble_bytes"]]
            + sources[row["body"] :][: row["body_bytes"]]
            for row in self.rows(records.KERNELS)
        }

    @property
    def settings(self):
        return {
            self.text(row["name"]): self.text(row["text"]) if row["is_text"] else float(row["number"])
            for row in self.rows(records.SETTINGS)
        }
