"""Whether stored weights are the ones of a network: what is missing, left over or of another size, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from anchorlab.errors import AnchorlabError, shortened, some
from anchorlab.files import user_path
from anchorlab.models.conversion import convert_command

#: What wraps a module for training, and the prefix that it leaves on every name.
WRAPPERS = {"_orig_mod.": "torch.compile", "module.": "DataParallel or DistributedDataParallel"}

#: Buffers that transformers computes by itself: old files have them, and new files lack them.
_COMPUTED = re.compile(
    r"(^|\.)(position_ids|token_type_ids|masked_bias|inv_freq|relative_position_index|num_batches_tracked)$"
    r"|\.attn(\.attention)?\.bias$"
)

#: Heads of pre-training, which a classifier does not compute with, and the pooler that some classifiers leave out.
_LEFT_OVER = re.compile(
    r"(^|\.)pooler\.|^(cls|lm_head|mask_predictions|lm_predictions|predictions|sop_classifier|generator_lm_head"
    r"|generator_predictions|discriminator_predictions|vocab_transform|vocab_layer_norm|vocab_projector)(\.|$)"
)


@dataclass(frozen=True)
class Differences:
    """How stored weights differ from the ones that a network has.

    Attributes:
        missing: names that the network has and the file lacks.
        unexpected: names that the file has and the network lacks.
        resized: name to the sizes in the file and in the network.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    resized: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, loading: Mapping[str, Any]) -> Differences:
        """From what transformers says of its loading, but for buffers that it computes by itself."""
        missing = (name for name in loading["missing_keys"] if not name.endswith("num_batches_tracked"))
        unexpected = (name for name in loading["unexpected_keys"] if not _COMPUTED.search(name))
        resized = {name: (tuple(stored), tuple(own)) for name, stored, own in loading["mismatched_keys"]}
        return cls(tuple(sorted(missing)), tuple(sorted(unexpected)), dict(sorted(resized.items())))

    def without(self, brought: Collection[str]) -> Differences:
        """Without weights that come from elsewhere, by their names in the network."""
        missing = tuple(name for name in self.missing if name not in brought)
        resized = {name: sizes for name, sizes in self.resized.items() if name not in brought}
        return Differences(missing, self.unexpected, resized)

    def outside_head(self, net: Any) -> Differences:
        """Without what belongs to a head: the layers behind the encoder, its pooler included."""
        resized = {name: sizes for name, sizes in self.resized.items() if not _is_head(name, net, sizes[1])}
        missing = tuple(name for name in self.missing if not _is_head(name, net))
        return Differences(missing, tuple(name for name in self.unexpected if _is_encoder(name, net)), resized)

    def needed(self) -> Differences:
        """Without the heads of pre-training that a classifier does not compute with."""
        return Differences(
            self.missing, tuple(name for name in self.unexpected if not _LEFT_OVER.search(name)), self.resized
        )

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.resized)

    def __str__(self) -> str:
        sizes = [f"{name} {list(stored)} in place of {list(own)}" for name, (stored, own) in self.resized.items()]
        parts = (("missing", self.missing), ("not of this model", self.unexpected), ("of another size", sizes))
        return ", ".join(f"{len(names):,} {what} ({some(names)})" for what, names in parts if names)


def check_fit(
    net: Any, differences: Differences, stored: Collection[str], file: Path, source: str, *, new_head: bool
) -> None:
    """Raises AnchorlabError for weights of which any was not loaded, with the likely cause.

    Args:
        net: the network of transformers that they were loaded into.
        differences: what loading found.
        stored: the names in the file.
        file: the weights, for the command that mends their names.
        source: the folder or hub name, for the message.
        new_head: whether the layers behind the encoder may be new.
    """
    left = differences.outside_head(net) if new_head else differences.needed()
    if left:
        allowed = "only a new last layer may be missing" if new_head else "every weight must be there"
        raise AnchorlabError(
            f"the weights in {shortened(source)} are not the ones of a {type(net).__name__} as its config.json "
            f"describes it, and {allowed}: of its tensors {left}; {_cause(net, left, stored, file, source)}"
        )


def _cause(net: Any, left: Differences, stored: Collection[str], file: Path, source: str) -> str:
    """The likely cause, and how to mend it."""
    prefix = common_prefix(stored, net.state_dict())
    if prefix:
        name = file.parent.resolve().name if user_path(source).exists() else source.rpartition("/")[2]
        out = file.parent.with_name(f"{name}-converted") if user_path(source).exists() else Path(f"{name}-converted")
        known = [wrapper for part, wrapper in WRAPPERS.items() if part in prefix]
        command = convert_command(file, out, strip="" if _is_wrapper(prefix) else prefix)
        return (
            f"their names have '{shortened(prefix)}' in them, as {known[0] if known else 'a wrapper'} leaves it: take "
            f"it off, and give what this command writes: {command}"
        )
    resized = " ".join(left.resized)
    if "position" in resized:
        return (
            "they were made for images or texts of another length or size: give config.json the image_size or "
            "max_position_embeddings that the model was trained with"
        )
    if "embeddings" in resized and not left.missing:
        return "they belong to another vocabulary: give the folder the config.json that was saved with them"
    if resized and all(_is_head(name, net, own) for name, (_, own) in left.resized.items()) and not left.missing:
        return (
            "they answer with another number of classes than config.json says: give it the id2label and label2id that "
            "the model was trained with"
        )
    if all(_is_head(name, net) for name in left.missing) and not left.unexpected and not left.resized:
        return "they hold no trained classifier: train it first, with anchorlab train --model"
    theirs, ours = _first_part(stored), _first_part(left.missing)
    if theirs and ours and theirs != ours:
        return (
            f"most begin with '{shortened(theirs)}' and not with '{ours}', so that they are of another architecture: "
            "give the folder the config.json that was saved with them"
        )
    return (
        "they are incomplete, or of another architecture or depth: give the folder the config.json that was saved "
        "with them, or save both again"
    )


def common_prefix(stored: Iterable[str], expected: Collection[str]) -> str:
    """What most stored names must lose to be a network's names; empty where nothing helps.

    Args:
        stored: the names in a file.
        expected: the names in the network.
    """
    names = list(stored)
    bare = {name.partition(".")[2] for name in expected}  # files of an encoder alone lack its own prefix
    found: Counter[str] = Counter()
    for name in names:
        for rest in _endings(name):
            prefix = name[: len(name) - len(rest)]
            if rest in expected or (rest in bare and _is_wrapper(prefix)):
                found[prefix] += 1
    plain = sum(name in expected or name in bare for name in names)
    prefix, count = max(found.items(), key=lambda item: (item[1], -len(item[0])), default=("", 0))
    if count > max(plain, len(names) // 2):
        return prefix
    return "_orig_mod." if any("_orig_mod." in name for name in names) else ""  # a part of it was compiled


def _is_wrapper(prefix: str) -> bool:
    return all(f"{part}." in WRAPPERS for part in prefix.split(".")[:-1])


def _first_part(names: Collection[str]) -> str:
    """The part that most dotted names begin with."""
    counted = Counter(name.partition(".")[0] for name in names)
    return counted.most_common(1)[0][0] if counted else ""


def _endings(name: str) -> list[str]:
    """What is left of a dotted name without its first parts, one part or more."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(1, len(parts))]


def _encoder(net: Any) -> tuple[str, nn.Module | None]:
    """The prefix of a network's encoder and the encoder itself; an empty prefix where it has none."""
    prefix = net.base_model_prefix
    encoder = getattr(net, prefix, None) if prefix else None
    return (f"{prefix}.", encoder) if isinstance(encoder, nn.Module) else ("", None)


def _is_head(name: str, net: Any, size: tuple[int, ...] | None = None) -> bool:
    """Whether a tensor of the network lies behind its encoder."""
    prefix, encoder = _encoder(net)
    if encoder is not None:
        return not name.startswith(prefix) or ".pooler." in name
    own = tuple(net.state_dict()[name].shape) if size is None else size
    return own[:1] == (net.config.num_labels,)


def _is_encoder(name: str, net: Any) -> bool:
    """Whether a stored tensor that the network lacks would belong to its encoder."""
    prefix, encoder = _encoder(net)
    inner = name.removeprefix(prefix)
    parts = {child for child, _ in (net if encoder is None else encoder).named_children()}
    return inner.partition(".")[0] in parts
