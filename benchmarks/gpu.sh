#!/bin/bash
# All that needs a GPU, in one command, on a machine that has one: every test, the cost of a step, and a small suite of
# CIFAR-10 with several processes on the card. What it finds goes into the folder that it is given.
#
#     bash benchmarks/gpu.sh gpu-results
#
# STEPS="tests step" bash benchmarks/gpu.sh gpu-results leaves the suite out. The tests share the card among eight processes, or
# PROCESSES, and each failure is told at once.
set -uo pipefail
out=$(mkdir -p "${1:?give a folder for the results}" && cd "$1" && pwd)
cd "$(dirname "$0")/.." || exit 2
failed=0

run() { # run NAME COMMAND...: what the command says goes into a file of that name
    local name=$1
    shift
    case " ${STEPS:-tests step suite} " in *" $name "*) ;; *) return ;; esac
    echo "== $name: $*"
    "$@" 2>&1 | tee "$out/$name.log" || { echo "== $name failed: see $out/$name.log" && failed=1; }
}

python - << 'END' 2>&1 | tee "$out/device.log" || exit 2
import sys
import torch
if not torch.cuda.is_available():
    sys.exit("no GPU is there: run this on a machine with one, and with a torch that was built for it")
print(torch.__version__, torch.version.cuda, *(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())))
END
run tests python -m pytest -n "${PROCESSES:-8}" -p tests.told -p no:cacheprovider tests
run step python benchmarks/step.py
cat > "$out/suite.yaml" << 'END'
name: gpu
title: A small suite of CIFAR-10 on a GPU
tasks: [cifar10]
references: 2
methods:
  plain:
  anchoring: [0.5, 2]
seeds: 2
tuning: {steps: 600, batch_size: 128}
resources: {gpus: 0.25}
END
run suite python -m anchorlab suite run "$out/suite.yaml" --out "$out/suite"
exit $failed
