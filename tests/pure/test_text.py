"""The one checked JSON reader: what it refuses, in one line, and that what it reads is what was written."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpose.codec import check_entries, parse_json
from fleetpose.codec.text import LINE, NotJson, TextLimits
from fleetpose.errors import QUOTED, DataError, UsageError, quoted, unknown_name
from fleetpose.files import read_bounded, read_json
from tests.sweep import examples

REFUSED = {
    "has more than 64 lists and objects in one another": "[" * 65 + "]" * 65,
    "has more than 64 lists and objects in one": '{"a":' * 100_000,
    "has the key 'a' twice in one object": '{"b": [{"a": 1, "a": 2}]}',
    "has NaN, which is no number of JSON": "[NaN]",
    "has -Infinity, which is no number of JSON": "[-Infinity]",
    "has a number that is too large to compute with": "[1e999]",
    "has a whole number of more than 64 bits": "9" * 5000,
    "has a whole number of more than 64 bit": str(-(2**63)),
    "has a text with half a character": '{"a": "\\ud800"}',
    "has a text with half a characte": '{"\\udfff": 1}',
    "has a text with a zero byte": '["\\u0000"]',
    "is not JSON: Expecting": '{"a": ',
    "is not JSON: byte 1 is not of UTF-8 text": b"[\xff]",
    "is longer than 4 MiB, the most that is read": b" " * (LINE.size + 1),
}


@pytest.mark.parametrize("says", REFUSED)
def test_parse_json_refuses_in_one_short_line(says):
    with pytest.raises(DataError) as caught:
        parse_json(REFUSED[says], LINE, "line 7")
    assert str(caught.value).startswith(f"line 7 {says}")
    assert len(str(caught.value)) < 160
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, NotJson) == ("is not JSON" in says)


def test_parse_json_takes_what_is_within_the_limits():
    assert parse_json("[" * 64 + "]" * 64) is not None
    assert parse_json(str(2**63 - 1)) == 2**63 - 1
    assert parse_json(b'\xef\xbb\xbf{"a": "\xc3\xa4"}') == {"a": "ä"}
    assert parse_json("[Infinity]", TextLimits(nan=True)) == [float("inf")]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@settings(max_examples=examples(200), deadline=None)
@given(VALUES)
def test_parse_json_reads_what_was_written(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_parse_json_of_anything_answers_or_refuses(content):
    with contextlib.suppress(DataError):
        parse_json(content)


def test_read_json_names_the_file_and_quotes_little(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"format": "f" * 10_000}))
    with pytest.raises(
        DataError, match=r"x.json is no plan: its format is 'fff.*\.\.\., not 'a/1'; make it anew"
    ) as caught:
        read_json(path, "plan", "a/1", "make it anew")
    assert len(str(caught.value)) < len(str(path)) + 200
    path.write_text("[]")
    with pytest.raises(DataError, match=r"its format is 'list', not 'list'"):
        read_json(path, "plan", "list")
    path.write_bytes(b"[" + b" " * 100)
    with pytest.raises(UsageError, match=r"the plan .*x.json is longer than 0 MiB"):
        read_bounded(path, "the plan", 50)
    with pytest.raises(UsageError, match="cannot read the plan"):
        read_json("a\0b", "plan")


def test_errors_quote_at_most_eighty_letters():
    assert quoted("a" * 50) == repr("a" * 50)
    for value in ("a" * 10**6, ["b"] * 10**6, {"c" * 10**6: 1}, b"\0" * 10**6):
        assert len(quoted(value)) == QUOTED
    assert len(str(unknown_name("key", "k" * 10**6, ["key", "n" * 10**6]))) < 5_000


def test_check_entries_looks_at_the_entries_that_are_named():
    values = {"a": 1, "b": "x"}
    assert check_entries(values, {"a": int, "c": str}) == values
    with pytest.raises(DataError, match=r"^x.json: a is 1, not a string$"):
        check_entries(values, {"a": str}, "x.json")
    with pytest.raises(DataError, match=r"^x.json has no 'c'$"):
        check_entries(values, {}, "x.json", needed=("c",))
    with pytest.raises(DataError, match="is 3, not an object"):
        check_entries(3, {})
