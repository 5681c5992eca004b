"""Time and memory of a comparison of stored logits that do not fit in memory.

    python benchmarks/stream.py --folder /tmp

Writes the logits of two models, float32 of a million instances and a thousand classes, to two .npy files of 4 GB in a
new folder inside the given one, and compares them in a process of its own with ``compare_logits``. Seconds are of
the comparison alone, without the start of Python; the peak is of the whole process with its libraries. The system is
asked to forget the files first, so that they are read from the disk. Writes stream.csv beside this file, or the file
of --out, and removes the logits.
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

import numpy as np

HERE = Path(__file__).parent

#: Logits of one model in a piece that is written at once: this process must stay smaller than the one it measures, for
#: Linux counts the peak of the process that starts another one as that of the other one too.
PIECE = 2**20

MEASURED = """
import json, resource, sys, time
from anchorlab import compare_logits
began = time.perf_counter()
comparison = compare_logits(*sys.argv[1:])
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "peak_bytes": peak, "count": comparison.count, "churn": comparison.churn}))
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
    needed = arguments.instances * (2 * 4 * arguments.classes + 8)
    free = shutil.disk_usage(arguments.folder).free
    if free < 1.05 * needed:
        sys.exit(
            f"{arguments.folder} has {free / 1e9:.1f} GB free but the logits take {needed / 1e9:.1f} GB: give another "
            "--folder, or fewer --instances or --classes"
        )
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        paths = write_logits(Path(temporary), arguments.instances, arguments.classes)
        command = [sys.executable, "-c", MEASURED, *map(str, paths)]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        size = sum(path.stat().st_size for path in paths)
    row = {
        "instances": answer["count"],
        "classes": arguments.classes,
        "bytes_on_disk": size,
        "seconds": round(answer["seconds"], 1),
        "peak_bytes": answer["peak_bytes"],
        "instances_per_second": round(answer["count"] / answer["seconds"]),
    }
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    print(row)


if __name__ == "__main__":
    main()
