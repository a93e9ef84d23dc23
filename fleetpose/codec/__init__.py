"""Values as JSON and back, checked: dataclasses, enums, tuples, mappings, paths and what they are made of.

`encode` goes by the value, `decode` by the type, whose annotations it checks every entry against:

    decode(Profile, tomllib.loads(text), "mine.toml")    # DataError: mine.toml: lanes is 'many', not a whole number
    parse_json(line, LINE)                               # DataError: it has the key 'ms' twice in one object

`parse_json` (codec.text) is how JSON is read everywhere: bounded in size and depth, without keys that occur twice.

A field that is written otherwise than under its name and by its type says so in its metadata, and a number that is
bounded in its type (`fleetpose.json_fields`). A class attribute `json_properties` names properties that are written
after the fields, for readers, and left out when reading.
"""

from fleetpose.codec.decoding import check_entries, decode
from fleetpose.codec.encoding import encode
from fleetpose.codec.text import parse_json

__all__ = ["check_entries", "decode", "encode", "parse_json"]
