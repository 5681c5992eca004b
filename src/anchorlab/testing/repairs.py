"""The contract of repairs: a repaired copy, and nothing else changed."""

from __future__ import annotations

from functools import cached_property

from torch import nn

from anchorlab.data import Kind
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.wrap import unwrap
from anchorlab.repairs import REPAIRS, Repair
from anchorlab.repairs.variations import variations
from anchorlab.testing.bench import bench, seeded
from anchorlab.testing.contract import BrokenError, Contract, Rule, require
from anchorlab.testing.defences import judge_defence
from anchorlab.testing.settings import contract_of
from anchorlab.testing.unchanged import changed, copies, state, tensors_of, whole


class _Trial:
    """A repair of the planted model, in its quick form, watched."""

    def __init__(self, repair: Repair, kind: Kind) -> None:
        self.repair = repair.quick()
        self.bench = bench(kind)
        self.changed: list[str] = []
        self.data_changed: list[str] = []

    def run(self) -> tuple[nn.Module, nn.Module]:
        """A model, and what the repair makes of it."""
        model, data = self.bench.model(), self.bench.data(self.repair.min_examples)
        before, data_before = copies(whole(model)), copies(tensors_of(data))
        with seeded(self.bench, type(self.repair).__name__):
            repaired = self.repair.repair(model, data, self.bench.context())
        self.changed = changed(before, whole(model))
        self.data_changed = changed(data_before, tensors_of(data))
        return model, repaired

    @cached_property
    def both(self) -> tuple[nn.Module, nn.Module]:
        """The first model and its repaired copy."""
        return self.run()


def _returns_a_model(trial: _Trial) -> None:
    _, repaired = trial.both
    require(isinstance(repaired, nn.Module), f"repair returns {type(repaired).__name__}: return the repaired model")


def _returns_a_copy(trial: _Trial) -> None:
    model, repaired = trial.both
    places = {value.data_ptr() for value in state(model).values() if value.numel()}
    shared = [name for name, value in state(repaired).items() if value.numel() and value.data_ptr() in places]
    require(
        repaired is not model and not shared,
        "the repaired model is the given one, or shares weights with it: begin with copy.deepcopy(model)",
    )


def _leaves_the_model(trial: _Trial) -> None:
    assert trial.both
    require(not trial.changed, f"the given model changes ({', '.join(trial.changed[:3])}): work on a deepcopy of it")


def _leaves_the_data(trial: _Trial) -> None:
    assert trial.both
    require(not trial.data_changed, f"the data change ({', '.join(trial.data_changed)}): work on clones of them")


def _keeps_the_architecture(trial: _Trial) -> None:
    model, repaired = trial.both
    first, second = ({name: tuple(value.shape) for name, value in state(each).items()} for each in (model, repaired))
    require(
        type(unwrap(model)) is type(unwrap(repaired)) and first == second,
        "the repaired model has another class, other weights or other shapes: set weights to 0 in place of removing "
        "them, because the model is saved and loaded as the same architecture",
    )


def _is_in_evaluation_mode(trial: _Trial) -> None:
    _, repaired = trial.both
    training = [name for name, module in repaired.named_modules() if module.training]
    require(not training, "the repaired model is in training mode: return repaired.eval()")


def _answers(trial: _Trial) -> None:
    _, repaired = trial.both
    answers = predict(repaired, trial.bench.inputs)
    require(answers.isfinite().all(), "the repaired model's logits are not finite: look at its weights")


def _repeats(trial: _Trial) -> None:
    first, (_, second) = trial.both[1], trial.run()
    names = changed(copies(state(first)), state(second))
    require(
        not names,
        f"the same seed gives other weights the second time ({', '.join(names[:3])}): draw from context.generator",
    )


def _can_be_varied(trial: _Trial) -> None:
    if not trial.repair.stability_grid:
        return
    try:
        variations(trial.repair, type(trial.repair).__name__)
    except AnchorlabError as error:
        raise BrokenError(
            f"stability_grid cannot be tried ({error}): give other values that its settings take"
        ) from error


_RULES: tuple[Rule[_Trial], ...] = (
    Rule("has other settings that can be tried", _can_be_varied),
    Rule("returns a model", _returns_a_model, needed=True),
    Rule("returns a copy", _returns_a_copy),
    Rule("leaves the given model as it is", _leaves_the_model),
    Rule("leaves the data as they are", _leaves_the_data),
    Rule("keeps the architecture", _keeps_the_architecture),
    Rule("returns it in evaluation mode", _is_in_evaluation_mode),
    Rule("returns a model with finite answers", _answers),
    Rule("gives the same weights for the same seed", _repeats),
)


def check_repair(repair: Repair | type[Repair], name: str = "") -> Contract:
    """The contract of a repair: its settings, and what its quick form does to tiny models with a backdoor.

    Args:
        repair: an instance, or a class whose settings all have defaults.
        name: what to call it; its registered name if left out.
    """
    return contract_of(
        repair,
        name,
        registry=REPAIRS,
        base=Repair,
        derive="its class does not derive from anchorlab.repairs.Repair: derive it",
        findings=lambda instance: judge_defence(instance, _RULES, lambda kind: _Trial(instance, kind)),
    )
