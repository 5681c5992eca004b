"""How long help, lists, completion, the cache and the check of a suite take, beside a process that imports torch.

    python benchmarks/cli.py --rounds 5

Each row is a process of its own. They take turns, and each ratio is the median over the rounds of ratios within a
round, to a process that imports torch. Writes cli.csv beside this file, or the file of --out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from rounds import alternate, ratios

HERE = Path(__file__).parent

#: Row to the words after Python's name.
_PROGRAM = ["-m", "anchorlab"]
_COMPLETION = {
    "_ANCHORLAB_COMPLETE": "complete_bash",
    "COMP_WORDS": "anchorlab inject ref --method a",
    "COMP_CWORD": "4",
}
ROWS: dict[str, tuple[list[str], dict[str, str]]] = {
    "an empty Python": (["-c", ""], {}),
    "import torch": (["-c", "import torch"], {}),
    "the registries, imported": (["-c", "import anchorlab.methods, anchorlab.repairs, anchorlab.detectors"], {}),
    "anchorlab --help": ([*_PROGRAM, "--help"], {}),
    "anchorlab inject --help": ([*_PROGRAM, "inject", "--help"], {}),
    "anchorlab list": ([*_PROGRAM, "list"], {}),
    "anchorlab list methods --json -": ([*_PROGRAM, "list", "methods", "--json", "-"], {}),
    "anchorlab cache": ([*_PROGRAM, "cache"], {}),
    "anchorlab suite check demo": ([*_PROGRAM, "suite", "check", "demo"], {}),
    # A folder that is there is looked into, which takes the full check.
    "the same, in full": ([*_PROGRAM, "suite", "check", "demo", "--out", "."], {}),
    "completion of --method": (_PROGRAM, _COMPLETION),
}


def process(words: list[str], variables: dict[str, str], folder: str) -> Callable[[], None]:
    """Runs a process in a folder to its end, and says nothing."""
    environment = os.environ | variables

    def run() -> None:
        subprocess.run([sys.executable, *words], env=environment, cwd=folder, capture_output=True, check=True)

    return run


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--out", type=Path, default=HERE / "cli.csv", help="the table; default: cli.csv beside this file"
    )
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        loops = {name: process(words, variables, folder) for name, (words, variables) in ROWS.items()}
        seconds = alternate(loops, arguments.rounds, torch.device("cpu"))
    table = ratios(seconds, dict.fromkeys(ROWS, "import torch"), "seconds")
    table["seconds"] = seconds.median().round(2)
    table.to_csv(arguments.out, lineterminator="\n")
    print(table)


if __name__ == "__main__":
    main()
