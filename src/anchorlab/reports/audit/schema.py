"""The schema of ``audit.json``, as a file in the package and as tables for docs/audit.md, made from the record.

``python -m anchorlab.reports.audit.schema`` writes the file again after the record has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anchorlab.reports.audit.record import AuditRecord

#: The schema in the package.
SCHEMA = Path(__file__).with_name("audit.schema.json")

#: How a type of JSON is called in the tables.
_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def schema() -> str:
    """The JSON schema of ``audit.json``."""
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **AuditRecord.model_json_schema()}
    return json.dumps(described, indent=2) + "\n"


def schema_tables() -> str:
    """The schema as Markdown: a table of the file's keys, and one of each kind of object in it."""
    whole = AuditRecord.model_json_schema()
    parts = [_table(whole)]
    for name, described in sorted(whole["$defs"].items()):
        parts.append(f"### {name.removesuffix('Record')}\n\n{described['description']}\n\n{_table(described)}")
    return "\n".join(parts)


def _table(described: dict[str, Any]) -> str:
    lines = ["| key | type | what it is |", "|---|---|---|", *_rows(described)]
    return "".join(f"{line}\n" for line in lines)


def _rows(described: dict[str, Any]) -> Iterator[str]:
    for key, field in described["properties"].items():
        yield f"| `{key}` | {_type(field)} | {field['description']} |"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2].removesuffix("Record")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "value and both ends of its interval"
    if field.get("type") == "object":
        return "object"
    return _TYPES[field["type"]]


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
