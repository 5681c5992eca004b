"""What may have happened to a file: a table that tests of damaged files share."""

from __future__ import annotations

import json
from collections.abc import Callable

Damage = Callable[[bytes], bytes]


def _without_a_key(content: bytes) -> bytes:
    record = json.loads(content)
    del record["rows" if "rows" in record else next(iter(record))]
    return json.dumps(record).encode()


def _with_another_type(content: bytes) -> bytes:
    record = json.loads(content)
    changed = {name: [value] if isinstance(value, str) else str(value) for name, value in record.items()}
    return json.dumps(changed).encode()


#: Damages of a file of any kind.
ANY: dict[str, Damage] = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "binary": lambda content: b"\x80\0" * (len(content) // 2),
}
#: Damages that leave JSON.
OF_JSON: dict[str, Damage] = {
    "a list": lambda content: b"[1, 2]",
    "a number": lambda content: b"7",
    "a text": lambda content: b'"text"',
    "an empty object": lambda content: b"{}",
    "a key less": _without_a_key,
    "other types": _with_another_type,
}
