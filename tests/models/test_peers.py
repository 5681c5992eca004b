"""Files of other toolkits: what BackdoorBench and TrojanZoo write, made up in the same layout, from file to repair.

Facts on the layouts: utils/save_load_attack.py and utils/bd_dataset_v2.py of BackdoorBench, and trojanzoo/models.py.
"""

from __future__ import annotations

import pickle
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from anchorlab import Training, convert, load_model, train
from anchorlab.models.own_modules import module_maker
from anchorlab.models.wrap import unwrap
from tests.cli.conftest import run
from tests.refusals import assert_refused, refused
from tests.test_docs import blocks

__all__ = ["run"]  # a fixture

#: A network under the name and with the argument of BackdoorBench's.
PREACT = """
import torch
from torch import nn

class PreActResNet18(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8 * 16, num_classes)

    def forward(self, x):
        out = torch.relu(self.bn(self.conv1(x)))
        return self.linear(nn.functional.avg_pool2d(out, 2).flatten(1))
"""

#: A module under the names of TrojanZoo's package, whose network normalises inside.
TROJAN = """
from types import SimpleNamespace
from torch import nn

class _Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 10))

    def forward(self, x):
        return self.classifier(self.features((x - 0.3) / 0.4))

datasets = SimpleNamespace(create=lambda name: name)
models = SimpleNamespace(create=lambda name, dataset: SimpleNamespace(_model=_Model()))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the code of both, and the files of the page's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "preact_resnet.py").write_text(PREACT)
    (tmp_path / "trojanvision.py").write_text(TROJAN)
    for block in blocks("docs/coming-from.md", "python"):
        (tmp_path / re.match(r"# (\S+):", block)[1]).write_text(block)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("models", "trojanvision")]:
        del sys.modules[name]


def trained(digits, code):
    """The network that a file makes, trained a little."""
    network = train(digits, model=module_maker(code)(), training=Training(epochs=3, batch_size=32)).model
    return unwrap(network).state_dict()


def backdoorbench(weights):
    """What ``save_attack_result`` stores: arrays and numbers of numpy among the poisoned data."""
    poisoned = {
        "bd_data_container": {
            "save_folder_path": "record/badnet/bd_test_dataset",
            "data_dict": {
                np.int64(3): {"path": "record/badnet/bd_test_dataset/5/3.png", "other_info": [0, np.int64(5)]}
            },
            "save_file_format": ".png",
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": np.arange(20),
        "poison_indicator": np.zeros(20),
        "save_folder_path": "record/badnet/bd_test_dataset",
    }
    about = {"model_name": "preactresnet18", "num_classes": 10, "data_path": "../data", "img_size": (8, 8, 3)}
    return {**about, "model": weights, "clean_data": "cifar10", "bd_train": poisoned, "bd_test": poisoned}


def commands(heading):
    """The commands of a section of the page, on digits."""
    text = Path(__file__).parents[2].joinpath("docs/coming-from.md").read_text()
    section = text.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line.replace("cifar10", "digits"))[1:] for line in lines]


@pytest.mark.slow
def test_a_model_of_backdoorbench_is_scanned_and_repaired_as_the_page_says(place, run, digits):
    weights = trained(digits, "net.py:network")
    (place / "record" / "badnet").mkdir(parents=True)
    torch.save(backdoorbench(weights), place / "record/badnet/attack_result.pt")
    for words in commands("From BackdoorBench"):
        ended = run(*words)
        assert ended.code == 0, (words, ended.err)
    stored = load_file(place / "badnet/weights/model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in weights.items())
    suspect = load_model(place / "badnet/suspect", into=module_maker("net.py:network")())
    assert suspect.manifest.kind == "suspicious"
    assert suspect.manifest.measurements["accuracy"] > 0.5
    assert (place / "badnet/repaired/model.safetensors").is_file()


@pytest.mark.slow
def test_a_model_of_trojanzoo_is_repaired_as_the_page_says(place, run, digits):
    torch.save(trained(digits, "trojan.py:network"), place / "attack.pth")
    for words in commands("From TrojanZoo"):
        ended = run(*words)
        assert ended.code == 0, (words, ended.err)
    assert (place / "trojan/repaired/model.safetensors").is_file()


def test_arrays_of_numpy_beside_the_weights_are_left_out_and_never_built(tmp_path):
    torch.save(backdoorbench({"a.weight": torch.ones(2, 2)}), tmp_path / "attack_result.pt")
    done = convert(tmp_path / "attack_result.pt", tmp_path / "out")
    assert (done.tensors, done.unwrapped) == (1, ("model",))
    assert {"bd_train", "bd_test", "model_name", "clean_data"} <= set(done.left_out)
    torch.save({"model": {"a.weight": np.ones(2)}}, tmp_path / "array.pt")
    refused("holds no weights", convert, tmp_path / "array.pt", tmp_path / "no")


def test_what_else_of_numpy_a_checkpoint_names_is_refused(tmp_path):
    class Loads:
        def __reduce__(self):
            return (np.load, ("secret.npy",))

    torch.save({"model": {"a": torch.ones(1)}, "bd_test": Loads()}, tmp_path / "bad.pt", pickle_module=pickle)
    refused("wants to run code", convert, tmp_path / "bad.pt", tmp_path / "out")


def test_weights_that_do_not_fit_the_module_are_refused(place, run, digits):
    torch.save({"other.weight": torch.ones(2)}, place / "attack.pth")
    assert run("convert", "attack.pth", "--out", "weights").code == 0
    words = ("adopt", "weights", "digits", "--kind", "suspicious", "--module", "trojan.py:network", "--out", "no")
    assert_refused(run(*words), "does not fit the model")
    assert not (place / "no").exists()
    assert isinstance(module_maker("trojan.py:network")(), nn.Module)
