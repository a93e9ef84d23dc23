"""The stamp of a shared object: 32 bytes that say what the file belongs to, read from the file without loading it.

A linker leaves room for them as the description of a GNU build ID, which every linker and every host has
(`readelf --notes` shows it). They are filled in afterwards, since they depend on all the other bytes.
"""

from __future__ import annotations

import hashlib
import io

from elftools.elf.elffile import ELFFile

from codegen.linking.elf import ElfError, plain

STAMP_BYTES = 32
#: the linker's flag that leaves room for a stamp
ROOM = f"--build-id=0x{'00' * STAMP_BYTES}"
#: segments of notes, and bytes of one, beyond which nothing is looked for: a damaged file may claim any
_MOST_SEGMENTS, _MOST_BYTES = 16, 1 << 16
#: of a note, before its name
_HEADER_BYTES = 12


def read_stamp(content: bytes) -> bytes:
    """The stamp of a shared object; zeros where none was written yet. Raises ElfError where it has no room for one."""
    place = _place(content)
    return content[place : place + STAMP_BYTES]


def with_stamp(content: bytes, stamp: bytes) -> bytes:
    """A shared object with another stamp in place of its own. Raises ElfError for a file without room for it."""
    if len(stamp) != STAMP_BYTES:
        raise ValueError(f"a stamp has {STAMP_BYTES} bytes, not {len(stamp)}")
    place = _place(content)
    return content[:place] + stamp + content[place + STAMP_BYTES :]


def digest_without_stamp(content: bytes) -> bytes:
    """SHA-256 of a shared object, its stamp taken as zeros. Raises ElfError for a file without room for a stamp."""
    place, view = _place(content), memoryview(content)
    state = hashlib.sha256(view[:place])
    state.update(bytes(STAMP_BYTES))
    state.update(view[place + STAMP_BYTES :])
    return state.digest()


def _place(content: bytes) -> int:
    """Where in the file the stamp begins."""
    try:
        segments = list(ELFFile(io.BytesIO(content)).iter_segments("PT_NOTE"))[:_MOST_SEGMENTS]
        small = [segment for segment in segments if segment["p_filesz"] <= _MOST_BYTES]
        notes = [note for segment in small for note in segment.iter_notes()]  # type: ignore[attr-defined]
    except Exception as error:  # the reader's own errors and any other: it trusts offsets and sizes in the file
        raise ElfError(f"is not an ELF file, or damaged ({plain(str(error))})") from error
    for note in notes:
        begin = note["n_offset"] + _HEADER_BYTES + (note["n_namesz"] + 3) // 4 * 4
        fits = note["n_descsz"] == STAMP_BYTES and begin + STAMP_BYTES <= len(content)
        if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU" and fits:
            return begin
    raise ElfError("has no stamp, which codegen.build leaves room for")
