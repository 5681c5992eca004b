"""What a classifier computes inside: the layers that it calls, in order, and the features before its last layer."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from anchorlab.data.inputs import rows
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import EVALUATION_BATCH, evaluating, logits, passes
from anchorlab.models.device import exact_arithmetic, in_double

#: Examples on which a layer's outputs are compared with the logits. With two classes one example alone always fits.
_FEW = 4

#: Steps of rounding by which they may differ.
_ROUNDING = 16


def modules_in_call_order(
    model: nn.Module, inputs: Mapping[str, Tensor], kinds: type[nn.Module] | tuple[type[nn.Module], ...]
) -> list[nn.Module]:
    """The modules of some kinds in the order in which a forward pass calls them, each once.

    Args:
        model: a classifier, which is asked in evaluation mode.
        inputs: of at least one example, on the model's device; only the first is used.
        kinds: classes of modules.
    """
    modules: list[nn.Module] = []

    def note(module: nn.Module, _args: tuple[object, ...], _output: object) -> None:
        if module not in modules:
            modules.append(module)

    _watch(model, inputs, note, [module for module in model.modules() if isinstance(module, kinds)])
    return modules


def lookups(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[tuple[nn.Embedding, Tensor]]:
    """The calls of tables in a forward pass, in order: each with the ids that it was given, ``[1, L]`` for texts.

    Args:
        model: a classifier, which is asked in evaluation mode.
        inputs: of at least one example, on the model's device; only the first is used.
    """
    calls: list[tuple[nn.Embedding, Tensor]] = []

    def note(module: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor], _output: object) -> None:
        assert isinstance(module, nn.Embedding)
        calls.append((module, args[0] if args else named["input"]))

    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    _watch(model, inputs, note, tables, with_kwargs=True)
    return calls


#: What puts out maps with the channels first.
_CHANNELS_FIRST = (
    *(nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d),
)


class Call(NamedTuple):
    """One call of a module: a network may call the same one, above all a ReLU, at many places.

    Attributes:
        module: what is called.
        number: which of its calls in a forward pass, from 0.
        of: how many there are.
    """

    module: nn.Module
    number: int
    of: int


def feature_maps(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[tuple[Call, tuple[int, int]]]:
    """The calls that put out a map ``[B, C, H, W]``, in the order in which a forward pass ends them; with ``(H, W)``.

    Args:
        model: a classifier, which is asked in evaluation mode.
        inputs: of at least one example, on the model's device; only the first is used.
    """
    return [(call, shape[2:]) for call, shape in _maps(_calls(model, inputs)) if shape is not None]


def _maps(calls: Sequence[tuple[Call, torch.Size]]) -> Iterator[tuple[Call, tuple[int, int, int, int] | None]]:
    """Each call with the shape of the map ``[B, C, H, W]`` that it puts out; with None if it puts out something else.

    ConvNeXt and Swin have outputs ``[B, H, W, C]`` too. So a map is what a convolution, a normalisation or a pooling
    puts out, which have the channels first, and what has the size of such a map, or its channels and no larger size, as
    after a pooling that is no module. In a network without any such module all outputs of four dimensions are maps.
    """
    known = any(isinstance(call.module, _CHANNELS_FIRST) and len(shape) == 4 for call, shape in calls)
    sizes: set[tuple[int, int]] = set()
    last = (0, 0, 0)
    for call, shape in calls:
        if len(shape) != 4:
            yield call, None
            continue
        batch, channels, height, width = shape
        if isinstance(call.module, _CHANNELS_FIRST):
            sizes.add((height, width))
            last = channels, height, width
        pooled = channels == last[0] and height <= last[1] and width <= last[2]
        is_map = not known or (height, width) in sizes or pooled
        yield call, (batch, channels, height, width) if is_map else None


def last_map(model: nn.Module, inputs: Mapping[str, Tensor]) -> Call | None:
    """The call that puts out the last map ``[B, C, H, W]`` of more than one position.

    None if there is none, or if a module after it puts out vectors of several tokens, ``[B, L, D]`` or ``[B, H, W,
    C]``: a vision transformer's only map is what cuts the image into patches.

    Args:
        model: a classifier, which is asked in evaluation mode.
        inputs: of at least one example, on the model's device; only the first is used.
    """
    last: Call | None = None
    calls = _calls(model, inputs)
    for (call, shape), (_, of_map) in zip(calls, _maps(calls), strict=True):
        if of_map is not None:
            last = call if math.prod(of_map[2:]) > 1 else last
        elif len(shape) in (3, 4) and math.prod(shape[1:-1]) > 1:
            last = None
    return last


def _calls(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[tuple[Call, torch.Size]]:
    """All calls of a forward pass of the first example, as they end, with the shape of a tensor that is put out."""
    ended: list[tuple[nn.Module, int, torch.Size | None]] = []
    count: Counter[nn.Module] = Counter()

    def note(module: nn.Module, _args: tuple[object, ...], output: object) -> None:
        ended.append((module, count[module], output.shape if isinstance(output, Tensor) else None))
        count[module] += 1

    _watch(model, inputs, note, list(model.modules()))
    return [(Call(module, number, count[module]), shape) for module, number, shape in ended if shape is not None]


def _watch(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    hook: Callable[..., None],
    modules: Sequence[nn.Module],
    *,
    with_kwargs: bool = False,
) -> None:
    """One forward pass of the first example in evaluation mode, with a hook on some modules."""
    handles = [module.register_forward_hook(hook, with_kwargs=with_kwargs) for module in modules]
    try:
        with torch.no_grad(), evaluating(model):
            logits(model, {name: value[:1] for name, value in inputs.items()})
    finally:
        for handle in handles:
            handle.remove()


def last_layer(model: nn.Module, inputs: Mapping[str, Tensor]) -> nn.Linear:
    """The linear layer that gives the logits, up to one scale, and one shift for each example.

    Args:
        model: a classifier, which is asked in evaluation mode.
        inputs: of at least one example, on the model's device; only the first few are used.

    Raises:
        AnchorlabError: if the model has no linear layer with such outputs.
    """
    few = {name: value[:_FEW] for name, value in inputs.items()}
    with torch.no_grad(), evaluating(model):
        classes = logits(model, {name: value[:1] for name, value in few.items()}).shape[1]
    fitting = [
        layer
        for layer in reversed(modules_in_call_order(model, few, nn.Linear))
        if isinstance(layer, nn.Linear) and layer.out_features == classes
    ]
    for layer in fitting:
        with torch.no_grad(), evaluating(model), capture_output(layer) as put_out:
            answers = logits(model, few)
        if gives(put_out(), answers):
            return layer
    raise AnchorlabError(
        f"the model has no linear layer that gives its {classes} logits, which is needed here: take a method that only "
        "asks for answers"
    )


def gives(outputs: Tensor, answers: Tensor) -> bool:
    """Whether logits ``[B, K]`` are a layer's outputs ``[..., K]``, up to one scale, and one shift for each example.

    Of several outputs for an example, as for tokens, the logits may be one, or be their mean.
    """
    if not outputs.is_floating_point() or outputs.shape[-1] != answers.shape[1]:
        return False
    precision = torch.finfo(outputs.dtype).eps
    wanted, flat = (_centred(in_double(values)) for values in (answers, outputs.reshape(-1, answers.shape[1])))
    if outputs.dim() == 2 and len(flat) == len(wanted):
        return _scales_to(flat, wanted, precision)
    nearest = flat[torch.cdist(wanted, flat).argmin(1)]
    whole = len(flat) % len(wanted) == 0
    return _scales_to(nearest, wanted, precision) or (
        whole and _scales_to(flat.view(len(wanted), -1, flat.shape[1]).mean(1), wanted, precision)
    )


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def _scales_to(found: Tensor, wanted: Tensor, precision: float) -> bool:
    """Whether numbers ``[B, K]`` are others times one positive number, up to rounding."""
    size = found.square().sum()
    scale = (found * wanted).sum() / size if size > 0 else size
    largest = wanted.abs().max()
    room = _ROUNDING * max(precision, torch.finfo(torch.float32).eps) * (1 + largest)
    return bool((scale > 0) | (largest == 0)) and bool(((scale * found - wanted).abs() <= room).all())


def check_own_weights(model: nn.Module, layers: Iterable[nn.Module], *, instead: str = "repair") -> None:
    """Raises AnchorlabError for a layer whose weight or bias is no parameter of its own.

    ``weight_norm``, ``spectral_norm`` and other parametrisations compute it anew, so that a write to it is lost.

    Args:
        model: the model.
        layers: the layers of it that are written to.
        instead: what else to take, for messages.
    """
    names = {module: name for name, module in model.named_modules()}
    for layer in layers:
        if any(getattr(layer, each, None) is not None and each not in layer._parameters for each in ("weight", "bias")):
            raise AnchorlabError(
                f"the layer {names[layer]} computes its weight or bias from other parameters, as under weight_norm or "
                "spectral_norm, so that a change of it would be lost: fold them in by "
                f"torch.nn.utils.parametrize.remove_parametrizations, or take another {instead}"
            )


def norms_of(model: nn.Module, name: str, *, instead: str = "repair") -> dict[str, nn.BatchNorm2d]:
    """The layers of BatchNorm that scale channels of maps, by their names in the model.

    Args:
        model: the model.
        name: name of the repair or detector, for messages.
        instead: what else to take, for messages.

    Raises:
        AnchorlabError: if the model has none, or one that computes its weight or bias from other parameters.
    """
    norms = {
        label: module for label, module in model.named_modules() if isinstance(module, nn.BatchNorm2d) and module.affine
    }
    if not norms:
        raise AnchorlabError(f"{name} works on channels by BatchNorm, but the model has none: take another {instead}")
    check_own_weights(model, norms.values(), instead=instead)
    return norms


class DistantHead(nn.Module):
    """Stands for the last layer of a network that another library computes, so that its features can be captured.

    It is called with features and logits only while somebody watches, because they cost that library time.
    """

    @property
    def watched(self) -> bool:
        """Whether the features are wanted."""
        return bool(self._forward_hooks)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """The logits, ``[B, C]``; features ``[B, D]`` entered the layer."""
        del features
        return logits


@contextmanager
def capture_output(place: nn.Module | Call, *, entering: bool = False) -> Iterator[Callable[[], Tensor]]:
    """Inside, what a module or a call returned last, or what entered it, may be asked for; with its graph.

    Args:
        place: a call, by its number in a forward pass; or a module, whose last call is kept.
        entering: whether to keep what entered it.
    """
    call = place if isinstance(place, Call) else Call(place, number=0, of=1)
    kept: list[Tensor] = []
    ended = itertools.count()

    def keep(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if next(ended) % call.of == call.number:
            kept[:] = [args[0] if entering else output]

    handle = call.module.register_forward_hook(keep)
    try:
        yield lambda: kept[0]
    finally:
        handle.remove()


@torch.no_grad()
def features(
    model: nn.Module, inputs: Mapping[str, Tensor], *, batch_size: int = EVALUATION_BATCH
) -> tuple[Tensor, Tensor]:
    """Features before the last layer, float32 ``[N, D]``, and logits ``[N, C]``, in one pass, on the inputs' device.

    Args:
        model: a classifier; the mode of each of its modules is restored afterwards.
        inputs: N examples on its device.
        batch_size: examples in a forward pass.

    Raises:
        AnchorlabError: if the model has no last linear layer, or one that answers for every token.
    """
    distant = next((module for module in model.modules() if isinstance(module, DistantHead)), None)
    layer = last_layer(model, inputs) if distant is None else distant
    size = len(next(iter(inputs.values())))
    device = next(iter(inputs.values())).device
    entering, answers, order = [], [], []
    with exact_arithmetic(device), evaluating(model), capture_output(layer, entering=True) as entered:
        for indices, width in passes(inputs, batch_size):
            answers.append(logits(model, rows(inputs, indices, width)))
            if entered().dim() != 2:
                raise AnchorlabError(
                    "the model's last layer answers for every token, so it has no single vector of features "
                    "before it: take a detector or repair that asks for answers alone"
                )
            entering.append(entered().float())
            order.append(torch.arange(size, device=device)[indices])
    back = torch.cat(order).argsort()
    return torch.cat(entering)[back], torch.cat(answers)[back]
