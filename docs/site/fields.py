"""Shows the sentence that a field carries, ``Field(description=...)``, as its documentation."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class FieldDescriptions(griffe.Extension):
    """Every hyper-parameter has its description, its bounds are left to the signature."""

    def on_attribute_instance(
        self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **kwargs: Any
    ) -> None:
        """Takes the description over where there is no docstring."""
        value = getattr(node, "value", None)
        if attr.docstring or not isinstance(value, ast.Call) or getattr(value.func, "id", "") != "Field":
            return
        for keyword in value.keywords:
            if keyword.arg == "description" and isinstance(keyword.value, ast.Constant):
                sentence = str(keyword.value.value)
                attr.docstring = griffe.Docstring(sentence[:1].upper() + sentence[1:] + ".", parent=attr)
