"""Modules of the user's own: the code that the user names, and nothing else, makes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from anchorlab import Training, adopt, load_model, train, wrap
from anchorlab.artifacts.artifact import open_model
from anchorlab.models.call import predict
from anchorlab.models.own_modules import module_maker
from anchorlab.models.wrap import PixelClassifier, TextClassifier
from tests.refusals import refused
from tests.tokenizers import encoding

CODE = """
import torch
from helper_of_mine import WIDTH


class Net(torch.nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        self.layer = torch.nn.Linear(64, width)

    def forward(self, images):
        return self.layer(images.flatten(1))


def build():
    return Net()


ready = Net()
number = 7
build_number = lambda: 7
broken = lambda: 1 / 0
leaves = lambda: (_ for _ in ()).throw(SystemExit(3))
"""


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "helper_of_mine.py").write_text("WIDTH = 10")
    (tmp_path / "torch.py").write_text("raise SystemExit('never imported: an installed module has this name')")
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize("name", ["Net", "build", "ready"])
def test_a_class_a_function_or_a_module_makes_a_new_one_each_time(file, name):
    before = list(sys.path)
    make = module_maker(f"{file}:{name}")
    first, second = make(), make()
    assert type(first).__name__ == "Net"
    assert first.layer.weight is not second.layer.weight
    assert sys.path == before
    assert not (file.parent / "__pycache__" / "net.cpython-311.pyc").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Other", "net.py has no class or function 'Other': it has .*Net, build"),
        ("number", "net.py has no class or function 'number'"),
        ("build_number", "net.py:build_number made a int: let it return a module"),
        ("broken", r"net.py:broken failed \(ZeroDivisionError: division by zero\)"),
        ("leaves", r"net.py:leaves failed \(SystemExit: 3\)"),
    ],
)
def test_what_makes_no_module_is_refused(file, name, message):
    refused(message, lambda: module_maker(f"{file}:{name}")())


def test_what_names_no_code_is_refused(file):
    for text in ("net.py", ":Net", "net.py:", "net.py:a b", "net.py:a.b"):
        refused("names no code: give FILE.py:NAME", module_maker, text)
    refused("there is no file", module_maker, f"{file.parent}/none.py:Net")
    file.write_text("def (")
    refused(r"net.py failed \(SyntaxError", module_maker, f"{file}:Net")


def test_a_saved_folder_opens_with_the_code_and_says_so_without(file, tmp_path, digits):
    make = module_maker(f"{file}:Net")
    reference = adopt(wrap(make(), mean=[0.3], std=[0.4], size=(8, 8)), digits)
    folder = reference.save(tmp_path / "ref")
    refused("name the code that makes it, with --module FILE.py:NAME, or in Python", open_model, folder)
    again = open_model(folder, module=make)
    assert isinstance(again.model, PixelClassifier)
    inputs = digits.split("test").inputs
    torch.testing.assert_close(predict(again.model, inputs), predict(reference.model, inputs))
    wrapped = load_model(folder, into=wrap(make()))  # a wrapped module is wrapped as it was saved, once
    torch.testing.assert_close(predict(wrapped.model, inputs), predict(reference.model, inputs))
    other = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))  # noqa: E731
    refused("does not fit the model", open_model, folder, module=other)


class Bag(nn.Module):
    """A bag of words: the mean of the embeddings, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(500, 8), nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[..., None]
        return self.last((self.table(input_ids) * mask).sum(1) / mask.sum(1))


def test_a_module_of_texts_gets_its_tokenizer_and_limit_again(tmp_path):
    import pandas as pd

    from anchorlab import DataColumns, load_task

    rows = [{"text": f"a film of {n} {'good' if n % 2 else 'bad'}", "label": "np"[n % 2]} for n in range(80)]
    pd.DataFrame(rows).to_csv(tmp_path / "d.csv", index=False)
    task = load_task(str(tmp_path / "d.csv"), columns=DataColumns(text="text", label="label"))
    reference = adopt(TextClassifier(Bag(), encoding("wordpiece", 11)), task)
    again = open_model(reference.save(tmp_path / "ref"), module=Bag)
    assert again.model.encoding == reference.model.encoding
    assert again.model.encoding.max_length == 11
    inputs = task.encoded(again.model.encoding).split("test").inputs
    torch.testing.assert_close(predict(again.model, inputs), predict(reference.model, inputs))


def test_a_module_is_trained_further_and_stays_as_it_was(file, digits):
    start = wrap(module_maker(f"{file}:Net")(), mean=[0.3], std=[0.4])
    before = start.net.layer.weight.clone()
    reference = train(digits, model=start, training=Training(epochs=1, batch_size=64))
    assert reference.manifest.architecture == "Net"
    assert reference.manifest.kind == "clean"
    assert torch.equal(start.net.layer.weight, before)
    assert not torch.equal(reference.model.net.layer.weight, before)
    narrow = wrap(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), mean=[0.3], std=[0.4])
    refused("answers with 3 classes, but the task digits has 10", train, digits, model=narrow)
