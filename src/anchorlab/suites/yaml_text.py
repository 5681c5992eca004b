"""Reads the YAML of a suite file: plain values alone, of a size that a person writes, and each key once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from anchorlab.errors import AnchorlabError, first_line, quoted, shortened

#: Largest file, in characters; the largest suite of ours has 4,000.
_LONGEST = 250_000

#: Deepest nesting; a suite file needs five levels.
_DEEPEST = 40

#: Most values, each as often as an alias repeats it.
_MOST = 100_000

#: The kinds of values that may be written; all others, such as ``!!python/object``, are refused.
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Takes dates as text, because no key of a suite is a date, and says the line of a value that it cannot read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            problem = f"{quoted(node.value, 60)} cannot be read ({shortened(first_line(error), 60)})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, where: str) -> tuple[yaml.Node, dict[str, Any]]:
    """The nodes of a file, which know their lines, and its mapping.

    Args:
        text: the file.
        where: its name in messages.

    Raises:
        AnchorlabError: if it is not YAML, is too large or too deep, or holds more than plain values with text as keys.
    """
    if len(text) > _LONGEST:
        raise AnchorlabError(
            f"{where} has {len(text):,} characters, and a suite file at most {_LONGEST:,}: split it into several suites"
        )
    try:
        _refuse_depth(text, where)
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise AnchorlabError(f"{where} is not a suite: expected keys such as name, title, tasks and methods")
        _check_node(root, where, {}, set())
        data: dict[str, Any] = loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1} of " if mark else ""
        problem = getattr(error, "problem", None) or first_line(error)
        raise AnchorlabError(f"{line}{where} is not YAML: {shortened(str(problem), 160)}") from error
    except RecursionError as error:
        raise _too_deep(where) from error
    return root, data


def _too_deep(where: str) -> AnchorlabError:
    return AnchorlabError(f"{where} is nested more than {_DEEPEST} levels deep: write it flatter")


def _refuse_depth(text: str, where: str) -> None:
    """Follows the brackets before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise _too_deep(where)


def _check_node(node: yaml.Node, where: str, sizes: dict[int, int], around: set[int]) -> int:
    """The number of values in a node, each as often as an alias repeats it.

    Args:
        node: where to begin.
        where: name of the file in messages.
        sizes: what was counted before, by the identity of the node.
        around: the nodes that this one lies in.
    """
    line = f"line {node.start_mark.line + 1} of {where}"
    if node.tag not in _PLAIN:
        raise AnchorlabError(f"{line}: the tag {shortened(node.tag)} is not for suite files: write a plain value")
    if id(node) in around:
        raise AnchorlabError(f"{line}: the value holds itself by an alias: write it out")
    if id(node) not in sizes:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, where)
        inside = around | {id(node)}
        sizes[id(node)] = 1 + sum(_check_node(child, where, sizes, inside) for child in _children(node))
    if sizes[id(node)] > _MOST:
        raise AnchorlabError(f"{line}: there are more than {_MOST:,} values, aliases written out: give fewer")
    return sizes[id(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        yield from (value for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    """Refuses keys that are not text or stand twice; YAML readers silently take the last."""
    seen: set[str] = set()
    for key, _ in node.value:
        line = f"line {key.start_mark.line + 1} of {where}"
        if key.tag not in (_TEXT, _MERGE):
            raise AnchorlabError(f"{line}: the key {quoted(key.value, 60)} is not text: put it in quotation marks")
        if key.value in seen:
            raise AnchorlabError(f"{line}: the key '{shortened(key.value)}' stands there twice: keep one")
        seen.add(key.value)
