"""Shows a field as its reader thinks of it: ``strength: float = 2.0``, with the sentence that the field carries."""

from __future__ import annotations

import ast
from typing import Any

import griffe

_BOUNDS = {"ge": "At least", "gt": "Above", "le": "At most", "lt": "Below"}


class FieldDescriptions(griffe.Extension):
    """Turns ``= Field(default=2.0, ge=0, description="weight")`` into a default and a docstring."""

    def on_attribute_instance(
        self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **kwargs: Any
    ) -> None:
        """Takes default, description and bounds over from the call."""
        value = getattr(node, "value", None)
        if not isinstance(value, ast.Call) or getattr(value.func, "id", "") != "Field":
            return
        given = {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
        attr.value = ast.unparse(given["default"]) if "default" in given else None
        if attr.docstring or not isinstance(given.get("description"), ast.Constant):
            return
        sentence = str(getattr(given["description"], "value", ""))
        bounds = [f" {word} {ast.unparse(given[name])}." for name, word in _BOUNDS.items() if name in given]
        text = f"{sentence[:1].upper()}{sentence[1:]}.{''.join(bounds)}"
        attr.docstring = griffe.Docstring(text, parent=attr)
