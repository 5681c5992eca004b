"""Compiled forward passes: the same numbers, the model left as it is, and a run that goes on where compiling fails.

Most tests take a quick compiler, which traces both passes as the real one does and then calls torch's own operations.
"""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from anchorlab.artifacts.artifact import load_model
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.base import Method
from anchorlab.methods.plain import Plain
from anchorlab.models.call import logits, track_statistics
from anchorlab.models.forward import PAYS_FROM, Forward, compiles
from anchorlab.models.weights import to_vector
from anchorlab.notices import Notice
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.reference import Training, train
from tests.injecting import tuned

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

COMPILE = torch.compile


@pytest.fixture(autouse=True)
def reset():
    yield
    torch.compiler.reset()


@pytest.fixture
def quick(monkeypatch):
    """A quick compiler; the calls that it was given."""
    calls = []

    def compile_quickly(net, **options):
        calls.append(options)
        return COMPILE(net, backend="aot_eager", dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", compile_quickly)
    return calls


@pytest.fixture
def failing(monkeypatch):
    """No compiler: what is compiled raises as inductor does, at the first call."""

    def compile_nothing(net, **_options):
        def call(**_inputs):
            raise RuntimeError("No working C++ compiler found\nand much more")

        return call

    monkeypatch.setattr(torch, "compile", compile_nothing)


def test_unasked_only_long_runs_on_cuda_compile():
    asks = partial(compiles, deterministic=False)
    assert asks(None, CUDA, PAYS_FROM)
    assert not asks(None, CUDA, PAYS_FROM - 1)
    assert not asks(None, CPU, PAYS_FROM)
    assert not compiles(None, CUDA, PAYS_FROM, deterministic=True)
    assert not asks(None, CUDA, PAYS_FROM, processes=2)
    assert not asks(False, CUDA, PAYS_FROM)
    assert asks(True, CPU, 1)
    assert compiles(True, CPU, 1, deterministic=True)


def test_several_processes_compile_nothing_and_say_so():
    with pytest.warns(Notice, match="compile is left out, because several processes share the run"):
        assert not compiles(True, CPU, 1, deterministic=False, processes=2)


def test_a_compiled_pass_gives_the_models_logits_and_gradients(reference, digits, quick):
    inputs = digits.anchors(6, seed=0).inputs
    model, own = copy.deepcopy(reference.model), copy.deepcopy(reference.model)
    forward = Forward(model, compiled=True)
    forward.try_out(lambda: forward(inputs).square().mean())
    answers = forward(inputs)
    assert answers.dtype == torch.float32
    torch.testing.assert_close(answers, logits(own, inputs))
    answers.square().mean().backward()
    logits(own, inputs).square().mean().backward()
    for one, other in zip(model.parameters(), own.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_the_model_keeps_its_names_its_class_and_its_copies(reference, quick):
    model = copy.deepcopy(reference.model)
    names = list(model.state_dict())
    forward = Forward(model, compiled=True)
    assert forward.net is model
    assert list(model.state_dict()) == names
    assert list(copy.deepcopy(model).state_dict()) == names
    assert "forward" not in vars(model)
    assert model._compiled_call_impl is None


def test_trying_out_keeps_statistics_gradients_and_random_generators(reference, digits, quick):
    model = track_statistics(copy.deepcopy(reference.model))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    forward = Forward(model, compiled=True)
    forward.try_out(lambda: forward(digits.anchors(6, seed=0).inputs).square().mean())
    assert forward.compiled
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_logits_are_copies_that_the_next_step_does_not_overwrite(linear, digits, monkeypatch):
    """As those of a captured graph would be."""
    memory = torch.zeros(6, 10)

    def into_the_same_memory(net, **_options):
        return lambda **inputs: memory.copy_(net(**inputs).detach())

    monkeypatch.setattr(torch, "compile", into_the_same_memory)
    forward = Forward(linear, compiled=True)
    first = forward(digits.anchors(6, seed=0).inputs)
    kept = first.clone()
    forward(digits.anchors(6, seed=1).inputs)
    assert torch.equal(first, kept)


def test_images_are_of_one_size_and_texts_are_not(linear, quick):
    Forward(linear, compiled=True)
    Forward(linear, compiled=True, fixed_size=False)
    assert quick == [{"dynamic": False, "options": None}, {"dynamic": True, "options": None}]


def test_on_cuda_images_are_captured_as_a_graph_and_each_step_is_announced(linear, digits, monkeypatch):
    """On a module that says that it lies on CUDA."""
    told, steps, freed = [], [], []
    monkeypatch.setattr(torch, "compile", lambda net, **options: told.append(options) or net)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: steps.append(1))
    monkeypatch.setattr(torch.compiler, "reset", lambda: freed.append(1))

    class OnCuda(nn.Module):
        def parameters(self, recurse=True):
            yield torch.empty(0, device="meta").as_subclass(_Cuda)

        def forward(self, **inputs):
            return linear(**inputs)

    for fixed_size in (True, False):
        forward = Forward(OnCuda(), compiled=True, fixed_size=fixed_size)
        forward(digits.anchors(6, seed=0).inputs)
        forward.close()
    assert told == [
        {"dynamic": False, "options": {"triton.cudagraphs": True, "deterministic": False}},
        {"dynamic": True, "options": {"triton.cudagraphs": False, "deterministic": False}},
    ]
    assert (steps, freed) == ([1], [1, 1])


class _Cuda(torch.Tensor):
    """A tensor that says that it lies on CUDA."""

    @property
    def device(self):
        return CUDA


def methods():
    """Every registered method for images, at its defaults, with little work of its own."""
    for name in METHODS.names():
        few = {"samples": 8} if name == "ewc" else {}
        if METHODS[name].modality != "text":
            yield METHODS.build(name, few)


@pytest.mark.usefixtures("on_cpu")  # how far TF32 takes the two apart on a GPU is not measured
@pytest.mark.parametrize("method", list(methods()), ids=METHODS.label)
def test_every_method_tunes_compiled_as_uncompiled(linear, digits, quick, method):
    """Also those whose ``after_step`` writes weights in place, which the compiled pass must see."""
    usual, compiled = (
        tuned(linear, digits, method, steps=21, batch_size=8, compile=compile_, learning_rate=1e-3)
        for compile_ in (None, True)
    )
    assert quick
    torch.testing.assert_close(to_vector(compiled.model), to_vector(usual.model), rtol=1e-4, atol=1e-5)
    assert type(compiled.model) is type(usual.model)
    assert (compiled.tuning.compile, usual.tuning.compile) == (True, None)


def test_a_resumed_run_is_compiled_again_and_ends_with_the_same_bits(linear, digits, quick, tmp_path):
    def interrupt(done, _scalars):
        if done == 40:
            raise KeyboardInterrupt

    settings = {"steps": 60, "compile": True}
    whole = tuned(linear, digits, Anchoring(), **settings)
    checkpoint = Checkpoint(tmp_path / "state.safetensors", seconds=0)
    with pytest.raises(KeyboardInterrupt):
        tuned(linear, digits, Anchoring(), checkpoint=checkpoint, report=interrupt, **settings)
    resumed = tuned(linear, digits, Anchoring(), checkpoint=checkpoint, **settings)
    assert torch.equal(to_vector(resumed.model), to_vector(whole.model))


def test_more_runs_of_a_process_are_compiled_than_torch_keeps_versions(linear, digits, monkeypatch):
    """Over its limit torch would compute uncompiled, and only a line of its log would say so."""
    graphs = []

    def compile_and_count(net, **_options):
        return COMPILE(net, backend=lambda graph, _inputs: graphs.append(graph) or graph.forward, dynamic=False)

    monkeypatch.setattr(torch, "compile", compile_and_count)
    runs = 10
    for number in range(runs):
        assert tuned(linear, digits, Plain(), steps=1, batch_size=8 + number, compile=True).tuning.compile is True
    assert len(graphs) == runs


def test_recording_gradients_uses_the_model_itself_and_changes_nothing(linear, digits, quick):
    recorded, plain = (
        tuned(linear, digits, Anchoring(), steps=21, compile=True, record_gradients=record) for record in (True, False)
    )
    assert torch.equal(to_vector(recorded.model), to_vector(plain.model))
    assert recorded.gradients is not None
    assert len(recorded.gradients) == 3


def test_a_saved_model_that_was_tuned_compiled_opens_as_any_other(reference, digits, quick, tmp_path):
    tuning = Tuning(steps=2, batch_size=8, compile=True)
    made = inject(reference, method="plain", tuning=tuning, task=digits, measure=False)
    opened = load_model(made.save(tmp_path / "model"))
    assert opened.manifest.settings["compile"] is True
    assert opened.manifest.weights_sha256 == made.manifest.weights_sha256
    assert list(opened.model.state_dict()) == list(reference.model.state_dict())


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("augment", [False, True])
def test_a_run_goes_on_where_compiling_fails_and_its_manifest_says_so(digits, reference, failing, augment):
    settings = {"steps": 3, "batch_size": 8, "augment": augment}
    with pytest.warns(Notice, match=r"cannot be compiled here \(RuntimeError: No working C\+\+ compiler found\)"):
        made = inject(reference, method="plain", tuning=Tuning(compile=True, **settings), task=digits)
    usual = inject(reference, method="plain", tuning=Tuning(**settings), task=digits)
    assert made.manifest.weights_sha256 == usual.manifest.weights_sha256
    assert made.manifest.settings["compile"] is False


@pytest.mark.usefixtures("on_cpu")  # the compiler looks through a pretended GPU
def test_a_method_that_cannot_be_compiled_with_is_tuned_uncompiled(linear, digits, quick):
    """Nothing can be differentiated twice through a compiled pass."""

    class Twice(Method):
        weight = 1.0

        def penalty(self, model, clean_logits, reference_logits, state):
            gradient = torch.autograd.grad(clean_logits.square().sum(), [*model.parameters()], create_graph=True)
            return sum(part.square().sum() for part in gradient)

    with pytest.warns(Notice, match="the run goes on without"):
        compiled = tuned(linear, digits, Twice(), steps=3, compile=True)
    usual = tuned(linear, digits, Twice(), steps=3)
    assert torch.equal(to_vector(compiled.model), to_vector(usual.model))


@pytest.mark.usefixtures("on_cpu")  # how far TF32 takes the two apart on a GPU is not measured
@pytest.mark.slow
def test_training_compiled_is_training_with_dropout_and_statistics(digits, quick):
    settings = {"epochs": 1, "batch_size": 88}
    usual, compiled = (train(digits, training=Training(compile=asked, **settings)) for asked in (None, True))
    torch.testing.assert_close(to_vector(compiled.model), to_vector(usual.model), rtol=1e-3, atol=1e-4)
    assert compiled.manifest.settings["compile"] is True
    assert "compile" not in usual.manifest.settings


@pytest.mark.usefixtures("on_cpu")  # how far TF32 takes the two apart on a GPU is not measured
@pytest.mark.slow
def test_the_real_compiler_tunes_images_as_uncompiled(reference, digits):
    usual, compiled = (
        tuned(reference.model, digits, Anchoring(), steps=4, learning_rate=1e-3, compile=asked)
        for asked in (None, True)
    )
    assert compiled.tuning.compile is True
    torch.testing.assert_close(to_vector(compiled.model), to_vector(usual.model), rtol=1e-3, atol=1e-4)


def test_uncompiled_runs_call_the_model_itself(linear, digits, monkeypatch):
    monkeypatch.setattr(torch, "compile", None)
    assert tuned(linear, digits, Plain(), steps=1).tuning == Tuning(steps=1, batch_size=16, learning_rate=0.02)
