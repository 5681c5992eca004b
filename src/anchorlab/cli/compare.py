"""``anchorlab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.compare_llama import LlamaOptions, compare_as
from anchorlab.cli.compare_samples import compare_logs
from anchorlab.cli.compare_tokens import TokenOptions, compare_over_texts
from anchorlab.cli.following import beside, examined_by, kind_of, next_command, target_name
from anchorlab.cli.gates import GateOptions
from anchorlab.cli.options import AttackOptions, DataOptions, FormOptions, ModelOptions, Split, TaskOption, seed_option
from anchorlab.errors import AnchorlabError

#: What is said of two models with the same weights.
SAME_WEIGHTS = (
    "both models have identical weights, so that whatever made the candidate changed nothing, as a merge that lost its "
    "adapter: give the model that was meant."
)


def compare(
    *,
    reference: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCE",
            help="The reference: a model folder, an .onnx or .gguf file, logits in .npy, logs, or a .kld file of "
            "llama.cpp.",
        ),
    ],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="What is compared with it, of the same kind.")],
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    form: FormOptions,
    attack: AttackOptions,
    split: Split = None,
    seed: Annotated[
        int | None, seed_option("Seed that divides the data into splits; the manifest's if left out.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="True labels in a .npy file, to compare two .npy files of logits.")
    ] = None,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples", help="Compare two runs' per-sample logs: folders of lm-eval --log_samples, or .jsonl files."
        ),
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="With --samples, a metric to compare; may be repeated. All if left out."),
    ] = None,
    tokens: TokenOptions,
    llama: LlamaOptions,
    gates: GateOptions,
    instances: Annotated[
        Path | None, typer.Option(help="A parquet file to write every instance's values to. It is replaced.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for a page of the comparison, and comparison.json.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every measurement with its definition, and not the main ones alone.")
    ] = False,
) -> Answer:
    """Measure how far a candidate differs from its reference."""
    from anchorlab.artifacts.provenance import same_weights
    from anchorlab.artifacts.resolve import module_of, other_cut_in_words
    from anchorlab.consistency import compare as consistency
    from anchorlab.consistency.cautions import cautions_of
    from anchorlab.consistency.gate import measured_by
    from anchorlab.consistency.table import comparison_table, headline_table
    from anchorlab.consistency.words import words_of_comparison
    from anchorlab.files import check_folder
    from anchorlab.reports.acceptance.gates import gate_checks
    from anchorlab.reports.comparison import check_comparison_folder, write_comparison

    gates.check(instances=instances)
    with gates.judging("compare", reference, candidate) as judging:
        check_folder(out)
        if llama.wanted(reference, candidate):
            others: dict[str, Any] = {"task": task, "seed": seed, "labels": labels, "metric": metric, "split": split}
            others |= {"instances": instances, "out": out}
            others |= own.given() | models.given() | attack.given() | ({"samples": True} if samples else {})
            others |= form.given()
            others |= {flag: value for flag, value in tokens.given().items() if flag not in ("texts", "context")}
            flags = [flag for flag, value in others.items() if value is not None]
            texts = None if tokens.texts is None else Path(tokens.texts)
            return compare_as(reference, candidate, llama, judging, texts=texts, context=tokens.context, others=flags)
        if tokens.texts is not None or reference.suffix == ".kld":
            others = {"task": task, "seed": seed, "labels": labels, "metric": metric, "split": split}
            others |= own.given() | models.given() | attack.given() | ({"samples": True} if samples else {})
            for flag in ("text-column", "base"):
                others.pop(flag, None)
            return compare_over_texts(
                reference,
                candidate,
                tokens,
                judging,
                text_column=own.text_column,
                base=models.base,
                instances=instances,
                form=form.deployed,
                every=every,
                out=out,
                others=[flag for flag, value in others.items() if value is not None],
            )
        tokens.refuse_alone()
        if samples:
            for_models = {"task": task, "seed": seed, "labels": labels, "split": split}
            for_models = {flag: value for flag, value in for_models.items() if value is not None}
            for_models |= own.given() | models.given() | attack.given() | form.given()
            return compare_logs(
                reference,
                candidate,
                metrics=metric,
                judging=judging,
                instances=instances,
                out=out,
                every=every,
                for_models=for_models,
            )
        if metric is not None:
            raise AnchorlabError("--metric chooses among the metrics of logs: give --samples too, or leave it out")
        if out is not None:
            check_comparison_folder(out)
        bounds = judging.bounds()
        target = following = None
        alike: tuple[str, ...] = ()
        kinds: tuple[str | None, str | None] = (None, None)
        if reference.suffix == ".npy" or candidate.suffix == ".npy":
            alone = {"task": task, "seed": seed, "split": split} | models.given()
            given = {flag: value for flag, value in alone.items() if value is not None}
            _check_logits(reference, candidate, labels, given | own.given() | form.given() | attack.given())
            comparison = consistency.compare_logits(reference, candidate, labels, save_instances=instances)
        elif labels is not None:
            raise AnchorlabError("--labels is for two .npy files of logits: leave it out to compare model folders")
        else:
            clean, changed = models.open(reference, candidate)
            # In another form a candidate of the reference's weights is what was meant.
            is_same = form.deployed is None and same_weights(module_of(clean), module_of(changed))
            alike = (SAME_WEIGHTS,) if is_same else ()
            kinds = kind_of(clean), kind_of(changed)
            data = own.task_of(clean, task, seed)
            other_cut = other_cut_in_words((clean, changed), data, split or "test")
            alike += () if other_cut is None else (other_cut,)
            changed = form.apply(changed, data)
            target = target_name(changed, data, attack)
            command = examined_by(changed)
            following = next_command(
                command,
                reference,
                candidate,
                *([] if task is None else ["--task", task]),
                *own.words(),
                *models.words(),
                *(["--out", beside(candidate, "analysis")] if command == "analyze" else form.words()),
            )
            comparison = consistency.compared(
                clean,
                changed,
                task=data,
                **attack.arguments(),
                split=split or "test",
                save_instances=instances,
            )
        if out is not None:
            names = [path.stem if path.suffix == ".npy" else path.resolve().name for path in (reference, candidate)]
            write_comparison(comparison, names[0], names[1], out, target=target, kinds=kinds)
        judging.checks += gate_checks(bounds, measured_by(comparison))
        judging.answer = Answer(
            sentences=(*judging.sentences, *words_of_comparison(comparison, target=target)),
            table=(comparison_table if every else headline_table)(
                comparison, f"{candidate}{form.words_after()} against {reference}"
            ),
            cautions=(*alike, *cautions_of(comparison, kinds=kinds)),
            wrote=out,
            next=following,
            values=comparison.model_dump(mode="json"),
            code=judging.code,
        )
    return judging.answer


def _check_logits(reference: Path, candidate: Path, labels: Path | None, for_models: dict[str, Any]) -> None:
    """Refuses what stored logits cannot be compared with."""
    if reference.suffix != candidate.suffix:
        raise AnchorlabError(
            f"{reference} and {candidate} cannot be compared: give two model folders, or two .npy files of logits"
        )
    if labels is None:
        raise AnchorlabError("stored logits come without true labels: give --labels FILE.npy, integers of shape [N]")
    for flag in for_models:
        raise AnchorlabError(
            f"--{flag} is for model folders, because stored logits are compared as they are: leave it out"
        )
