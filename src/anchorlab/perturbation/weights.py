"""The perturbation ``w* - w`` of a candidate, and models at points of weight space."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.device import in_double
from anchorlab.models.weights import keep_variances_
from anchorlab.models.wrap import PixelClassifier, unwrap


@dataclass(frozen=True, eq=False)
class Perturbation:
    """What a candidate adds to the reference's state: shared tensors once, under the first of their names.

    Attributes:
        parameters: name to ``w* - w``, float32, in the order of the model's parameters.
        buffers: the same of buffers with real values, such as BatchNorm's statistics.
        left_out: names of the integer buffers, which only count.
    """

    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    left_out: tuple[str, ...] = ()

    @property
    def moves_buffers(self) -> bool:
        """Whether any buffer differs."""
        return any(bool(difference.any()) for difference in self.buffers.values())

    @property
    def moves_parameters(self) -> bool:
        """Whether any parameter differs."""
        return any(bool(difference.any()) for difference in self.parameters.values())

    @cached_property
    def norm(self) -> float:
        """The L2 norm over all parameters."""
        return float(torch.stack([in_double(value).square().sum() for value in self.parameters.values()]).sum().sqrt())

    def vector(self) -> Tensor:
        """The differences of all parameters one after another, float32 ``[d]``."""
        return torch.cat([difference.reshape(-1) for difference in self.parameters.values()])

    def to(self, device: torch.device) -> Perturbation:
        """The same on a device."""
        parameters, buffers = (
            {name: difference.to(device) for name, difference in side.items()}
            for side in (self.parameters, self.buffers)
        )
        return Perturbation(parameters, buffers, self.left_out)

    def digest(self) -> str:
        """SHA-256 of all names and differences."""
        sha256 = hashlib.sha256()
        for name, difference in (*self.parameters.items(), *self.buffers.items()):
            sha256.update(name.encode())
            sha256.update(difference.cpu().contiguous().numpy().tobytes())
        return sha256.hexdigest()

    def weights_alone(self) -> Perturbation:
        """The same with the reference's buffers."""
        return Perturbation(self.parameters, {}, self.left_out)

    def buffers_alone(self) -> Perturbation:
        """The same with the reference's parameters."""
        return Perturbation({}, self.buffers, self.left_out)


def perturbation_of(reference: nn.Module, candidate: nn.Module, *, name: str = "the candidate") -> Perturbation:
    """The difference of two models of one architecture, on the device of the reference.

    Args:
        reference: the clean model.
        candidate: the model compared with it.
        name: of the candidate, for messages.

    Raises:
        AnchorlabError: if the architectures or the preprocessing differ, a weight is not finite, or nothing differs.
    """
    _check_preprocessing(reference, candidate, name)
    from_net, to_net = unwrap(reference), unwrap(candidate)
    parameters = _differences(dict(from_net.named_parameters()), dict(to_net.named_parameters()), "parameter", name)
    from_buffers, to_buffers = _persistent_buffers(from_net), _persistent_buffers(to_net)
    integers = tuple(buffer for buffer, value in from_buffers.items() if not value.is_floating_point())
    for buffer in integers:
        from_buffers.pop(buffer)
        to_buffers.pop(buffer, None)
    perturbation = Perturbation(parameters, _differences(from_buffers, to_buffers, "buffer", name), integers)
    if not perturbation.moves_parameters and not perturbation.moves_buffers:
        raise AnchorlabError(f"{name} is identical to the reference, so there is nothing to analyse: leave it out")
    return perturbation


@torch.no_grad()
def _differences(
    reference: Mapping[str, Tensor], candidate: Mapping[str, Tensor], what: str, name: str
) -> dict[str, Tensor]:
    """Name to ``candidate - reference``, float32.

    Raises:
        AnchorlabError: if names or shapes differ, or a difference is not finite.
    """
    shapes, others = ({key: tuple(value.shape) for key, value in side.items()} for side in (reference, candidate))
    if shapes != others:
        odd = next(key for key in [*shapes, *others] if shapes.get(key) != others.get(key))
        words = [str(list(side[odd])) if odd in side else "missing" for side in (shapes, others)]
        raise AnchorlabError(
            f"{name} is of another architecture than the reference ({what} {odd}: {words[0]} in the reference, "
            f"{words[1]} in it): give a model that was made from the reference, or of the same architecture and classes"
        )
    differences = {key: (candidate[key].to(value.device) - value).float() for key, value in reference.items()}
    for key, difference in differences.items():
        if not bool(torch.isfinite(difference).all()):
            raise AnchorlabError(
                f"the {what} {key} of {name} or of the reference holds a value that is not finite: make the model again"
            )
    return differences


def _persistent_buffers(net: nn.Module) -> dict[str, Tensor]:
    """Buffers that are saved with a model, shared ones once."""
    saved = net.state_dict().keys()
    return {name: value for name, value in net.named_buffers() if name in saved}


def _state(net: nn.Module) -> dict[str, Tensor]:
    return {**dict(net.named_parameters()), **_persistent_buffers(net)}


def _check_preprocessing(reference: nn.Module, candidate: nn.Module, name: str) -> None:
    """Raises AnchorlabError if the two models make other inputs of the same pixels."""
    if not isinstance(reference, PixelClassifier) or not isinstance(candidate, PixelClassifier):
        return
    if reference.steps != candidate.steps:
        raise AnchorlabError(
            f"{name} normalises or resizes images differently from the reference, so that their weights do not mean "
            "the same: give a model with the reference's preprocessing"
        )


class WeightSpace:
    """One model that is moved about: at ``w + sum_k a_k (w_k - w)``.

    Attributes:
        model: a copy of the reference in evaluation mode; where it stands is up to the last call.
    """

    def __init__(self, reference: nn.Module) -> None:
        self.model = copy.deepcopy(reference).eval()
        self._tensors, self._start = (_state(unwrap(model)) for model in (self.model, reference))

    @torch.no_grad()
    def at(self, *steps: tuple[float, Perturbation]) -> nn.Module:
        """The model at the reference plus multiples of perturbations; without any, at the reference."""
        for name, value in self._tensors.items():
            value.copy_(self._start[name])
        for scale, perturbation in steps:
            for differences in (perturbation.parameters, perturbation.buffers):
                for name, difference in differences.items():
                    self._tensors[name].add_(difference, alpha=scale)
        keep_variances_(self.model)
        return self.model


def products(perturbations: Sequence[Perturbation]) -> Tensor:
    """Inner products of the perturbations of parameters, float64 ``[K, K]``, on the CPU."""
    total = torch.zeros(len(perturbations), len(perturbations), dtype=torch.float64)
    for name in perturbations[0].parameters:
        # One tensor at a time, because all of them in double precision could be too much memory.
        rows = torch.stack([in_double(each.parameters[name].reshape(-1)) for each in perturbations])
        total += (rows @ rows.T).cpu()
    return total


def cosines(perturbations: Sequence[Perturbation]) -> Tensor:
    """Cosines between the perturbations of parameters, float64 ``[K, K]``; NaN beside one that moves no parameter."""
    inner = products(perturbations)
    norms = inner.diagonal().sqrt()
    return (inner / norms.outer(norms)).clamp(-1, 1)
