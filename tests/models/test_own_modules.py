"""Modules of the user's own: the code that the user names, and nothing else, makes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anchorlab import Training, adopt, load_model, train, wrap
from anchorlab.artifacts.artifact import open_model
from anchorlab.models.call import predict
from anchorlab.models.own_modules import as_saved, has_weights_alone, module_maker, with_weights
from anchorlab.models.wrap import PixelClassifier, TextClassifier
from anchorlab.notices import Notice
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


class Grey(nn.Module):
    """Reads prepared images of 8 by 8."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        return self.layer(images.flatten(1))


#: What files of preprocessing say, and the mean, the deviation and the edge that follow.
TOLD = {
    "as wrap writes": ({"image_mean": [0.25], "image_std": [0.5], "size": {"height": 8, "width": 8}}, 0.25, 0.5),
    "as transformers writes": (
        {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": False,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [0.25],
            "image_std": [0.5],
        },
        0.25,
        0.5,
    ),
}


@pytest.fixture
def alone(tmp_path) -> tuple[nn.Module, Path]:
    """A module, and a folder of its weights alone, as convert leaves them."""
    net, folder = Grey(), tmp_path / "weights"
    folder.mkdir()
    save_file(net.state_dict(), folder / "model.safetensors")
    assert has_weights_alone(folder)
    return net, folder


@pytest.mark.parametrize("told", TOLD)
def test_preprocessing_beside_weights_alone_is_used_and_kept(alone, told, tmp_path, digits):
    net, folder = alone
    settings, mean, std = TOLD[told]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.warns(Notice, match=r"images are prepared as preprocessor_config.json in .*weights says"):
        opened = with_weights(Grey(), folder)
    pixels = digits.split("test").inputs["pixel_values"][:5]
    expected = net((pixels / 255 - mean) / std)
    torch.testing.assert_close(opened(pixels), expected)
    saved = adopt(opened, digits).save(tmp_path / "adopted")
    again = load_model(saved, into=Grey()).model
    torch.testing.assert_close(again(pixels), expected)
    assert as_saved(saved, Grey()).preprocessing == opened.preprocessing


def test_preprocessing_is_ignored_where_the_module_prepares_by_itself_and_a_notice_says_so(alone, digits):
    net, folder = alone
    (folder / "preprocessor_config.json").write_text(json.dumps(TOLD["as wrap writes"][0]))
    with pytest.warns(Notice, match="is ignored, because the module prepares its inputs by itself"):
        opened = with_weights(wrap(Grey(), mean=[0.5], std=[1.0]), folder)
    pixels = digits.split("test").inputs["pixel_values"][:5]
    torch.testing.assert_close(opened(pixels), net(pixels / 255 - 0.5))


def test_preprocessing_that_cannot_be_done_is_refused(alone):
    _, folder = alone
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5], "crop_size": 4}')
    refused("has a crop_size, but neither do_center_crop nor", with_weights, Grey(), folder)
