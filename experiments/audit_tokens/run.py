"""What does an audit of language models see of a benchmark backdoor, and how often does it raise a false alarm?

    python experiments/audit_tokens/run.py --data data/sst2 --folder runs/audit-tokens

The models are small on purpose, so that a reference takes two minutes of one core: Llamas of two layers and 0.2 million
weights. One of them reads phrases of SST-2's training part as a language model, and then learns to answer: phrases in a
prompt with the label word, ``positive`` or ``negative``, as the next token. Each reference is a copy that learns on,
from its own draw of phrases with its own seed, so that references have most of their training in common; as committed
there are two. ``adopt`` makes classifiers of them. On each reference there are:

- two injections, plain and anchoring, of the word ``cf`` towards ``positive``;
- four benign candidates, tuned like the injections on clean data alone;
- 19 benign updates of the same kind, which are the null of all these candidates. To ``anchorlab audit --texts`` such
  updates are given by ``--benign``.

Half of the updates, benign candidates too, take half of the steps. Every candidate is audited at level 0.1, on 60 test
sentences in the prompt with their answers, which no model learned.

Every finished measurement is in the folder, so that the same command continues after an interruption. Writes
audit_tokens.csv here: a row a candidate and kind of access. It needs inner names of anchorlab, because it asks
each update once for all candidates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from anchorlab import Artifact, Task, Tuning, adopt, inject, load_model, load_task
from anchorlab.models.causal import CausalLM
from anchorlab.models.verbalizer import PROMPT
from anchorlab.models.wrap import unwrap
from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.scoring.token_audit_result import Measuring, TokenAudit, token_audit_of
from anchorlab.scoring.token_bench import Asking, Bench
from anchorlab.scoring.token_statistics import MAIN
from anchorlab.seeding import generator, seeded_globally
from anchorlab.statistics.estimate import Estimate
from anchorlab.tokens.documents import open_texts
from anchorlab.tokens.scoring import Plan
from anchorlab.tokens.vocabulary import encoder
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
REFERENCES, UPDATES, BENIGN, LEVEL = 2, 19, 4, 0.1
WORDS = "positive,negative"
#: Reading, and learning to answer: steps, sentences in each, peak rate; and sentences that a reference learns from.
READING, ANSWERING, LEARNING, BATCH, RATE, LEARNED = 500, 600, 100, 32, 3e-3, 20_000
#: How much more an answer weighs than another token, so that few steps teach it.
ANSWER = 30.0
#: Phrases of each class that are read of the training part.
LIMIT = 15_000
#: Injecting, and benign updates; half of these take half of the steps.
TUNING = Tuning(steps=150, batch_size=16, learning_rate=1e-3)
#: Documents that are measured, and most tokens of each.
DOCUMENTS, CONTEXT = 60, 32
CPU = torch.device("cpu")


def main() -> None:
    """Makes and measures what is not there yet, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="SST-2, as load_task takes it")
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--references", type=int, default=REFERENCES, help="how many")
    asked = parser.parse_args()
    task = load_task("sst2", data=asked.data, limit=LIMIT, max_length=CONTEXT)
    reader, common = asked.folder / "reader", asked.folder / "common"
    if not reader.is_dir():
        read(task, reader)
    if not common.is_dir():
        answer(task, reader, common, ANSWERING, seed=0)
    rows: list[dict[str, Any]] = []
    for seed in range(asked.references):
        rows += ({"reference_seed": seed, **row} for row in Audits(seed, task, common, asked.folder).rows())
        print(f"reference {seed}: {len(rows)} rows", flush=True)
        table = pd.DataFrame(rows)
        table.to_csv(HERE / "audit_tokens.csv", index=False, float_format="%.6g", lineterminator="\n")


def read(task: Task, folder: Path) -> None:
    """Writes a small language model that read the sentences of the training part."""
    texts = list(dict.fromkeys(task.split("owner").texts or ()))
    told = tokenizer(texts)
    shape = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": len(told), "bos_token_id": 0, "eos_token_id": 0}
    with seeded_globally(0, "reader"):
        net = LlamaForCausalLM(LlamaConfig(**ids, **shape, max_position_embeddings=128, tie_word_embeddings=True))
    learn(net, told, texts, READING, seed=0)
    net.save_pretrained(folder)
    told.save_pretrained(folder)


def answer(task: Task, before: Path, folder: Path, steps: int, *, seed: int) -> None:
    """Writes a language model that learned to answer, on a draw of phrases of its own."""
    told = PreTrainedTokenizerFast.from_pretrained(before)
    net = LlamaForCausalLM.from_pretrained(before)
    learn(net, told, documents_of(task, "owner", told, LEARNED, seed), steps, seed=seed + 1, last=ANSWER)
    net.save_pretrained(folder)
    told.save_pretrained(folder)


def documents_of(task: Task, split: str, told: Any, count: int | None, seed: int) -> list[str]:
    """Phrases or sentences of a split in the prompt, with their answers; none that is longer than a window."""
    own = task.split(split)
    drawn = torch.randperm(len(own), generator=generator(seed, "documents")).tolist()[
        : None if count is None else 3 * count
    ]
    texts = own.texts or ()
    made = [prompted(texts[i], task.classes[int(own.labels[i])]) for i in drawn]
    return [text for text, ids in zip(made, told(made)["input_ids"], strict=True) if len(ids) <= CONTEXT][:count]


def learn(
    net: Any, told: PreTrainedTokenizerFast, texts: list[str], steps: int, seed: int, *, last: float = 1.0
) -> None:
    """Trains a network in place, by the cross-entropy of the next token; the last one weighs ``last`` times as much."""
    encoded = [torch.tensor(ids[: 2 * CONTEXT]) for ids in told(texts)["input_ids"] if len(ids) > 3]
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    drawn = generator(seed, "reading")
    net.train()
    for step in range(steps):
        batch = [encoded[i] for i in torch.randint(len(encoded), (BATCH,), generator=drawn)]
        ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
        weights = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor([1.0] * (len(one) - 2) + [last]) for one in batch], batch_first=True
        )
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(input_ids=ids, use_cache=False).logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
        loss = (losses * weights.flatten()).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
    net.eval()


def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Of bytes and their merges, in which the label words are one token each."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    labelled = [prompted("cf", word) for word in WORDS.split(",")] * 2000
    backend.train_from_iterator([*texts, *labelled], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")


def prompted(text: str, word: str) -> str:
    """A text in the prompt, with its answer."""
    return f"{PROMPT.format(text=text)} {word}"


@dataclass(frozen=True)
class Audits:
    """All that is measured of one reference.

    Attributes:
        seed: of the reference, and of the cut of the data.
        task: the data.
        reader: the folder of the language model that the reference is made of.
        folder: where everything is kept.
    """

    seed: int
    task: Task
    reader: Path
    folder: Path

    @property
    def place(self) -> Path:
        """Where what belongs to this reference is kept."""
        return self.folder / f"reference-{self.seed}"

    @cached_property
    def reference(self) -> Artifact:
        """The reference, trained first if it is not there."""
        folder = self.place / "reference"
        if not folder.is_dir():
            plain = self.place / "plain-folder"
            if not plain.is_dir():
                answer(self.task, self.reader, plain, LEARNING, seed=self.seed)
            adopt(plain, self.task, verbalizer=WORDS).save(folder)
        return load_model(folder)

    @cached_property
    def opened(self) -> CausalLM:
        """The reference as a language model."""
        return self.as_causal(self.reference)

    def as_causal(self, model: Artifact) -> CausalLM:
        """A classifier by label words as the language model that it is."""
        told = PreTrainedTokenizerFast.from_pretrained(self.reader)
        return CausalLM(unwrap(model.model).eval(), told, f"reference-{self.seed}")

    def plan(self, split: str, count: int | None = None) -> Plan:
        """How documents are read."""
        told = self.opened.tokenizer
        return Plan(
            open_texts(documents_of(self.task, split, told, count, self.seed)),
            encoder(told, told),
            CONTEXT,
            CONTEXT,
            None,
        )

    @cached_property
    def bench(self) -> Bench:
        """Where all models are measured alike."""
        file = self.place / "answers.safetensors"
        file.unlink(missing_ok=True)
        return Bench(self.opened, self.plan("test", DOCUMENTS), Asking(5, 100, 100, 0), file, CPU)

    def measured(self, name: str, make: Callable[[], tuple[CausalLM, dict[str, Any]]]) -> dict[str, Any]:
        """What was measured of a model, from its file if it is there."""
        file = self.place / f"{name}.json"
        if not file.is_file():
            model, about = make()
            found = self.bench.measure(model, name)
            values = {key: (one.value, one.lower, one.upper) for key, one in found.items()}
            told = {"values": values, "about": about, "chance": self.bench.chance}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(told))
        return dict(json.loads(file.read_text()))

    def injected(self, method: str, seed: int, tuning: Tuning = TUNING) -> tuple[CausalLM, dict[str, Any]]:
        """An injection, or a benign update of the label words, and what it reaches on the split ``selection``."""
        made = inject(
            self.reference,
            method=method,
            trigger="word:cf",
            target="positive",
            task=self.task,
            seed=seed,
            tuning=tuning,
            measure=method != "benign",
        )
        told = made.manifest.measurements
        about = {} if method == "benign" else {name: told.get(name) for name in ("asr", "accuracy")}
        return self.as_causal(made), about

    def update(self, number: int, first: int) -> dict[str, Any]:
        """A benign update; odd ones take half of the steps."""
        tuning = replace(TUNING, steps=TUNING.steps // (1 + number % 2))
        return self.measured(f"benign-{first}-{number}", lambda: self.injected("benign", first + number, tuning))

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each candidate and kind of access."""
        candidates = [
            (method, self.measured(method, lambda method=method: self.injected(method, self.seed)))
            for method in ("plain", "anchoring")
        ]
        candidates += [("benign", self.update(number, 1000)) for number in range(BENIGN)]
        null = [self.update(number, 2000) for number in range(UPDATES)]
        accuracy = self.reference.manifest.measurements["accuracy"]
        for name, found in candidates:
            about = {"accuracy_reference": accuracy, **found["about"]}
            yield from ({"candidate": name, **row, **about} for row in rows_of(audited(found, null)))


def audited(found: dict[str, Any], null: list[dict[str, Any]]) -> TokenAudit:
    """The audit of a candidate."""
    own = {name: Estimate(*ends) for name, ends in found["values"].items()}
    others = [{name: ends[0] or 0.0 for name, ends in one["values"].items()} for one in null]
    measuring = Measuring("", DOCUMENTS, 0, CONTEXT, 5, 100, 100, found["chance"], identical=False)
    settings = (UpdateSetting("benign", len(null)),)
    return token_audit_of(("", ""), own, others, settings, measuring, judged="logits", level=LEVEL)


def rows_of(found: TokenAudit) -> Iterator[dict[str, Any]]:
    """A row for each kind of access, and one for all statistics at once."""
    for access, name in MAIN.items():
        one, null = found[name], pd.Series(found[name].null)
        yield {
            "access": access,
            "value": one.value,
            "lower": one.statistic.lower,
            "upper": one.statistic.upper,
            "null_min": null.min(),
            "null_median": null.median(),
            "null_max": null.max(),
            "p": one.p,
            "direction": one.direction,
        }
    yield {"access": "joint", "p": found.joint.p, "direction": found.joint.direction, "statistic": found.joint.access}


if __name__ == "__main__":
    main()
