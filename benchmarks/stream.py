"""Time and memory of a comparison of stored logits that do not fit in memory, beside a pass of exp over them.

    python benchmarks/stream.py --folder /tmp

Writes the logits of two models, float32 of a million instances and a thousand classes, to two .npy files of 4 GB in a
new folder inside the given one, and compares them in a process of its own with ``compare_logits``; then the first half
of the instances, a quarter and an eighth; then a tenth with 10 and 100 classes, and a fortieth with 10,000.

The same process takes ``numpy.exp`` of both files, in float32 before and in float64 after, on one thread: read as the
comparison reads them, a piece at a time that stays in the processor's cache, and the results are forgotten. Seconds are
without the start of Python; the peak is of the whole process with its libraries. The system is asked to forget the
files before each, so that they are read from the disk. Writes stream.csv beside this file, or the file of --out, and
removes the logits.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent

#: Logits of one model in a piece that is written at once: this process must stay smaller than the one it measures, for
#: Linux counts the peak of the process that starts another one as that of the other one too.
PIECE = 2**20

MEASURED = """
import json, os, resource, sys, time
from pathlib import Path
import numpy as np
import torch
from anchorlab import compare_logits
from anchorlab.consistency.instances import CHUNK
from anchorlab.consistency.stored_logits import StoredLogits

def timed(work):
    for path in sys.argv[1:]:
        if hasattr(os, "posix_fadvise"):
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result

def exponentials(kind):
    first, second = (StoredLogits(Path(path)) for path in sys.argv[1:3])
    N, C = first.shape
    rows, room = max(1, CHUNK // C), np.empty(2**15, kind)
    for start in range(0, N, rows):
        for logits in (first, second):
            flat = logits[start : start + rows].reshape(-1)
            for begin in range(0, len(flat), len(room)):
                piece = flat[begin : begin + len(room)]
                np.copyto(room[: len(piece)], piece)
                np.exp(room[: len(piece)], out=room[: len(piece)])

single, _ = timed(lambda: exponentials(np.float32))
seconds, comparison = timed(lambda: compare_logits(*sys.argv[1:]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
double, _ = timed(lambda: exponentials(np.float64))
print(json.dumps({"seconds": seconds, "peak_bytes": peak, "count": comparison.count, "exp_float32_seconds": single,
                  "exp_float64_seconds": double, "threads": torch.get_num_threads()}))
"""


def write_logits(folder: Path, instances: int, classes: int) -> list[Path]:
    """Files of a reference, a candidate that is a little off, and labels of which the reference gets most right."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{name}.npy" for name in ("reference", "candidate", "labels")]
    shapes = [("<f4", (instances, classes)), ("<f4", (instances, classes)), ("<i8", (instances,))]
    files = [path.open("wb") for path in paths]
    for file, (kind, shape) in zip(files, shapes, strict=True):
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    step = max(1, PIECE // classes)
    for start in range(0, instances, step):
        rows = min(step, instances - start)
        labels = rng.integers(classes, size=rows)
        reference = rng.standard_normal((rows, classes), dtype=np.float32)
        reference[np.arange(rows), labels] += 4
        candidate = reference + np.float32(0.1) * rng.standard_normal((rows, classes), dtype=np.float32)
        for file, piece in zip(files, (reference, candidate, labels), strict=True):
            file.write(piece.tobytes())
    for file in files:
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.close()
    return paths


def keep_first(paths: list[Path], instances: int, classes: int) -> None:
    """Cuts the files down to their first instances."""
    shapes = [("<f4", (instances, classes)), ("<f4", (instances, classes)), ("<i8", (instances,))]
    for path, (kind, shape) in zip(paths, shapes, strict=True):
        with path.open("r+b") as file:  # a header has room for larger numbers, so that it keeps its size
            np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
            file.truncate(file.tell() + np.dtype(kind).itemsize * int(np.prod(shape)))


def measure(paths: list[Path], classes: int) -> dict[str, Any]:
    """A row of the table."""
    command = [sys.executable, "-c", MEASURED, *map(str, paths)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    seconds = answer["seconds"]
    row = {
        "instances": answer["count"],
        "classes": classes,
        "bytes_on_disk": sum(path.stat().st_size for path in paths),
        "seconds": round(seconds, 2),
        "peak_bytes": answer["peak_bytes"],
        "instances_per_second": round(answer["count"] / seconds),
        "exp_float32_seconds": round(answer["exp_float32_seconds"], 2),
        "exp_float64_seconds": round(answer["exp_float64_seconds"], 2),
        "ratio_to_float32": round(seconds / answer["exp_float32_seconds"], 2),
        "ratio_to_float64": round(seconds / answer["exp_float64_seconds"], 2),
        "threads": answer["threads"],
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Writes the files, measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument(
        "--out", type=Path, default=HERE / "stream.csv", help="the table; default: stream.csv beside this file"
    )
    arguments = parser.parse_args()
    N, C = arguments.instances, arguments.classes
    needed, free = N * (2 * 4 * C + 8), shutil.disk_usage(arguments.folder).free
    if free < 1.05 * needed:
        sys.exit(
            f"{arguments.folder} has {free / 1e9:.1f} GB free but the logits take {needed / 1e9:.1f} GB: give another "
            "--folder, or fewer --instances or --classes"
        )
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        paths = write_logits(Path(temporary), N, C)
        for part in (1, 2, 4, 8):
            keep_first(paths, N // part, C)
            rows.append(measure(paths, C))
        others = ((10, C // 100), (10, C // 10), (40, 10 * C))
        rows += [measure(write_logits(Path(temporary), N // part, classes), classes) for part, classes in others]
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
