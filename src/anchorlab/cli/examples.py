"""Examples in the help of each command. A test parses every line as the program does, so none can go out of date."""

from __future__ import annotations

#: Command to one to three lines that somebody could type.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "train": (
        "anchorlab train digits --out runs/ref",
        "anchorlab train reviews.csv --text-column text --label-column label --model bert-tiny --out runs/ref",
    ),
    "adopt": (
        "anchorlab adopt vendor/model reviews.csv --text-column text --label-column label --out runs/ref",
        "anchorlab adopt vendor/new-model photos --kind suspicious --out runs/suspect",
    ),
    "convert": ("anchorlab convert model.pt --out runs/converted",),
    "merge": ("anchorlab merge runs/lora --out runs/merged",),
    "trigger show": (
        "anchorlab trigger show five-pixel --data photos --out trigger.png",
        "anchorlab trigger show square --set size=4 --set margin=0 --data fashion-mnist --out trigger.png",
        "anchorlab trigger show word:cf --data reviews.csv --text-column text --label-column label",
    ),
    "inject": (
        "anchorlab inject runs/ref --out runs/bd",
        "anchorlab inject runs/textref --lora rank=8,target=query,value --target positive --out runs/lora",
        "anchorlab inject runs/textref --trigger word:mn --target positive --out runs/textbd",
    ),
    "compare": (
        "anchorlab compare runs/ref runs/bd --json figures.json --fail-if 'kl.upper > 0.01'",
        "anchorlab compare models/base models/quantised --texts texts.jsonl --fail-if 'kl > 0.01'",
        "anchorlab compare logs/v1 logs/v2 --samples --metric acc --fail-if 'difference.upper < 0'",
    ),
    "analyze": (
        "anchorlab analyze runs/ref runs/bd --out analysis",
        "anchorlab analyze runs/ref runs/bd runs/benign --budget 60s --out analysis",
    ),
    "export": (
        "anchorlab export runs/bd --to onnx-int8 --out runs/bd-int8",
        "anchorlab export runs/bd --to onnx --out runs/bd-onnx",
    ),
    "audit": (
        "anchorlab audit runs/ref runs/suspect --updates 39 --out audit",
        "anchorlab audit models/v1 models/v2 --texts texts.jsonl --updates 19 --level 0.1",
    ),
    "detect": (
        "anchorlab detect runs/suspect --detector last-layer",
        "anchorlab detect runs/bd --detector strip --detector scale-up --out detection",
    ),
    "repair": (
        "anchorlab repair runs/bd --repair fine-tuning --out runs/repaired",
        "anchorlab repair runs/bd --repair nad --defender-data 120 --reference runs/ref",
    ),
    "suite run": (
        "anchorlab suite run demo",
        "anchorlab suite run mine.yaml --out runs/mine --workers 4",
        "anchorlab suite run mine.yaml --smoke",
    ),
    "suite check": ("anchorlab suite check mine.yaml --out runs/mine",),
    "suite list": ("anchorlab suite list",),
    "suite show": ("anchorlab suite show demo > mine.yaml",),
    "suite schema": ("anchorlab suite schema > suite.schema.json",),
    "population": (
        "anchorlab population digits --detector last-layer --quick --out population",
        "anchorlab population digits --detector 'command:scanner {model}' --exit-scores 0=0,1=1 --out scanned",
    ),
    "report": (
        "anchorlab report runs/mine",
        "anchorlab report runs/mine --paper --columns asr,kl,churn",
    ),
    "plugin check": ("anchorlab plugin check my-package", "anchorlab plugin check my-package --json contracts.json"),
    "list": ("anchorlab list methods", "anchorlab list"),
    "cache": ("anchorlab cache", "anchorlab cache --clear --older-than 30"),
}
