"""``anchorlab compare --as llama.cpp``: the block that llama-perplexity prints, from its base files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.gates import Judging
from anchorlab.cli.groups import OptionGroup
from anchorlab.errors import AnchorlabError, quoted

#: The word of ``--as``.
LLAMA = "llama.cpp"


@dataclass(frozen=True)
class LlamaOptions(OptionGroup):
    """By whose definitions language models are measured."""

    definitions: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar=LLAMA,
            help="Print what llama-perplexity --kl-divergence prints, by its definitions; REFERENCE may be its .kld "
            "base file.",
        ),
    ] = None
    beside: Annotated[
        Path | None,
        typer.Option(metavar="LOG", help="With --as llama.cpp, a file with its printed block to set beside ours."),
    ] = None

    def wanted(self, reference: Path, candidate: Path) -> bool:
        """Whether llama.cpp's block is wanted.

        Raises:
            AnchorlabError: for other definitions than its own, or for a part of its options alone.
        """
        stored = [path for path in (reference, candidate) if path.suffix == ".kld"]
        if self.definitions is None:
            if candidate in stored:
                raise AnchorlabError(
                    f"{candidate} is a base file of llama.cpp, which is a candidate by its definitions alone: add --as "
                    f"{LLAMA}, or give a model"
                )
            if self.beside is not None:
                raise AnchorlabError(f"--beside is for llama.cpp's block: add --as {LLAMA}, or leave it out")
            return False
        if self.definitions != LLAMA:
            raise AnchorlabError(
                f"--as {quoted(self.definitions)} names nobody's definitions: give --as {LLAMA}, or leave it out for "
                "anchorlab's own"
            )
        return True


def compare_as(
    reference: Path,
    candidate: Path,
    options: LlamaOptions,
    judging: Judging,
    *,
    texts: Path | None = None,
    context: int | None = None,
    others: Iterable[str] = (),
) -> Answer:
    """Prints the block, judges the bounds on its statistics, and sets it beside a log.

    Args:
        reference: a base file, or a model's folder.
        candidate: a model's folder, or a base file.
        options: the log to set beside it.
        judging: the bounds, and what is found of them.
        texts: a text file, where no base file says the tokens.
        context: tokens in a chunk, where no base file says it.
        others: flags that were given and are for other comparisons.
    """
    from anchorlab.reports.acceptance.gates import gate_checks
    from anchorlab.tokens.llama_beside import beside_table
    from anchorlab.tokens.llama_block import LINES, read_block
    from anchorlab.tokens.llama_compare import compare_as_llama_cpp
    from anchorlab.tokens.measurements import MEASUREMENTS

    for flag in others:
        raise AnchorlabError(f"--{flag} does not go with --as {LLAMA}, which prints one block: leave it out")
    # llama.cpp's divergences are rounded, and may be a little below 0.
    ranges = {name: each.limits for name, each in MEASUREMENTS.items() if each.column != "kl"}
    bounds = judging.bounds(list(LINES), ranges)
    log = None if options.beside is None else read_block(options.beside)
    found = compare_as_llama_cpp(reference, candidate, texts=texts, context=context)
    table = None if log is None or options.beside is None else beside_table(found.statistics, log, options.beside)
    judging.checks += gate_checks(
        bounds, found.measured(), {name: f"'{line.name}' as llama.cpp defines it" for name, line in LINES.items()}
    )
    judging.answer = Answer(
        sentences=(*found.lines(), *judging.sentences),
        table=table,
        cautions=found.cautions,
        values=found.to_dict(),
        code=judging.code,
    )
    return judging.answer
