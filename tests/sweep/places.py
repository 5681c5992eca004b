"""Where an odd input can enter: each place is a command with a HOLE.

Words in capitals stand for what ``world.py`` makes: REF and CAND are model folders of digits, TEXTREF is one of texts,
PICS a folder of images, CSV a file of texts, LOGITS and LABELS .npy files, SUITE a finished suite, FILE a suite file.
NEW is a place where nothing is yet.
"""

from __future__ import annotations

_TEXT = "--text-column text --label-column label"
_BRIEF = "--steps 2 --batch-size 4 --anchors 16"

#: Paths that are read.
INPUTS = f"""
train --data HOLE --out NEW
train fashion-mnist --data HOLE --out NEW
train cifar10 --data HOLE --out NEW
train movie-snippets --data HOLE --out NEW
train HOLE --out NEW {_TEXT}
train HOLE --out NEW --image-column image --label-column label
train CSV --model HOLE --out NEW {_TEXT}
adopt HOLE digits --out NEW
adopt TEXTREF HOLE --out NEW {_TEXT}
inject HOLE --out NEW {_BRIEF}
inject REF --out NEW --data HOLE {_BRIEF}
inject REF --out NEW --trigger picture:HOLE {_BRIEF}
compare HOLE CAND
compare REF HOLE
compare REF CAND --task HOLE {_TEXT}
compare REF CAND --data HOLE
compare TEXTREF TEXTREF --task HOLE {_TEXT}
compare HOLE LOGITS --labels LABELS
compare LOGITS HOLE --labels LABELS
compare LOGITS LOGITS --labels HOLE
analyze HOLE CAND
analyze REF HOLE
repair HOLE --repair fine-tuning
repair CAND --repair fine-tuning --set epochs=1 --reference HOLE
repair CAND --repair interpolation --trusted HOLE
detect HOLE --detector last-layer
detect TEXTREF --detector onion --set language_model=HOLE
audit HOLE CAND --benign CAND --benign CAND --benign CAND --level 0.5
audit REF HOLE --benign CAND --benign CAND --benign CAND --level 0.5
audit REF CAND --benign CAND --benign CAND --benign HOLE --level 0.5
suite run HOLE --out NEW
suite check HOLE --out NEW --no-timing
suite check FILE --out HOLE --no-timing
suite check FILE --out NEW --no-timing --data digits=HOLE
suite show HOLE
report HOLE
trigger show five-pixel --data HOLE
trigger show picture:HOLE
trigger show word --data CSV --model HOLE
"""

#: Folders that must be new.
NEW_FOLDERS = f"""
train --out HOLE --set epochs=1
adopt REF digits --out HOLE
inject REF --out HOLE {_BRIEF}
analyze REF CAND --out HOLE
repair CAND --repair fine-tuning --set epochs=1 --out HOLE
"""

#: Files that are written.
FILES = """
compare REF CAND --json HOLE
compare REF CAND --instances HOLE
compare LOGITS LOGITS --labels LABELS --junit HOLE
compare LOGITS LOGITS --labels LABELS --sarif HOLE
compare LOGITS LOGITS --labels LABELS --summary HOLE
compare LOGITS LOGITS --labels LABELS --json HOLE
repair CAND --repair fine-tuning --set epochs=1 --json HOLE
trigger show five-pixel --out HOLE
list --json HOLE
"""

#: Folders that are filled, whatever they hold.
FILLED_FOLDERS = """
detect CAND --detector last-layer --out HOLE
audit REF CAND --benign CAND --benign CAND --benign CAND --level 0.5 --out HOLE
audit REF CAND --updates 3 --level 0.5 --steps 1 --out HOLE
suite run FILE --out HOLE
report SUITE --out HOLE
"""

#: Numbers.
COUNTS = f"""
train --out NEW --set epochs=1 --seed HOLE
train --out NEW --set epochs=HOLE
train --out NEW --set epochs=1 --set batch_size=HOLE
train --out NEW --set epochs=1 --set learning_rate=HOLE
train --out NEW --set epochs=1 --set warmup=HOLE
train --out NEW --set epochs=1 --set clip=HOLE
train CSV --model TEXTREF --set epochs=1 --out NEW {_TEXT} --max-length HOLE
adopt REF digits --out NEW --seed HOLE
inject REF --out NEW {_BRIEF} --seed HOLE
inject REF --out NEW {_BRIEF} --steps HOLE
inject REF --out NEW {_BRIEF} --batch-size HOLE
inject REF --out NEW {_BRIEF} --anchors HOLE
inject REF --out NEW {_BRIEF} --target HOLE
inject REF --out NEW {_BRIEF} --learning-rate HOLE
inject REF --out NEW {_BRIEF} --clip HOLE
inject REF --out NEW {_BRIEF} --stop-at-asr HOLE
inject REF --out NEW {_BRIEF} --set strength=HOLE
inject REF --out NEW {_BRIEF} --method surgery --set count=HOLE
inject REF --out NEW {_BRIEF} --method ewc --set samples=HOLE
inject REF --out NEW {_BRIEF} --trigger square:size=HOLE
inject REF --out NEW {_BRIEF} --trigger square:margin=HOLE
inject REF --out NEW {_BRIEF} --trigger blended:pattern_seed=HOLE
inject REF --out NEW {_BRIEF} --label-rule source-to-target:HOLE
compare REF CAND --seed HOLE
compare REF CAND --target HOLE
compare LOGITS LOGITS --labels LABELS --fail-if kl>HOLE
analyze REF CAND --budget 1p --examples HOLE
analyze REF CAND --budget HOLEp --examples 20
analyze REF CAND --budget HOLEs --examples 20
analyze REF CAND --budget 1p --examples 20 --seed HOLE
analyze REF CAND --budget 1p --examples 20 --set resamples=HOLE
analyze REF CAND --budget 1p --examples 20 --set plane_steps=HOLE
repair CAND --repair fine-tuning --set epochs=HOLE
repair CAND --repair fine-tuning --set epochs=1 --defender-data HOLE
repair CAND --repair fine-tuning --set epochs=1 --seed HOLE
repair CAND --repair fine-tuning --set epochs=1 --set batch_size=HOLE
repair CAND --repair interpolation --trusted REF --set weight=HOLE
detect CAND --detector last-layer --defender-data HOLE
detect CAND --detector last-layer --seed HOLE
detect CAND --detector scale-up --examples HOLE --defender-data 20
detect CAND --detector strip --examples 5 --defender-data 20 --set blends=HOLE
audit REF CAND --benign CAND --benign CAND --benign CAND --level 0.5 --queries HOLE
audit REF CAND --benign CAND --benign CAND --benign CAND --level 0.5 --seed HOLE
audit REF CAND --updates HOLE --level 0.5 --steps 1
audit REF CAND --updates 3 --steps 1 --level HOLE
audit REF CAND --updates 3 --level 0.5 --steps 1 --learning-rate HOLE
audit REF CAND --updates 3 --level 0.5 --steps 1 --access HOLE
audit REF CAND --updates 3 --level 0.5 --steps HOLE
population digits --out NEW --references HOLE --detector nothing
population digits --out NEW --seeds HOLE --detector nothing
population digits --out NEW --defender-data HOLE --detector nothing
population digits --out NEW --seed HOLE --detector nothing
suite check FILE --out NEW --no-timing --workers HOLE
list --seed HOLE
train --out NEW --set epochs=1 --threads HOLE
trigger show square --count HOLE
trigger show square --set size=HOLE
trigger show square --target HOLE
trigger show square --seed HOLE
suite check FILE --out NEW --no-timing --threads HOLE
"""

#: Names and other texts.
NAMES = f"""
HOLE
list HOLE
trigger HOLE
trigger show HOLE
plugin HOLE
plugin check HOLE
trigger show square --set HOLE
trigger show square --label-rule HOLE
trigger show word:HOLE --data CSV
train --out NEW --set epochs=1 --device HOLE
suite HOLE
suite show HOLE
suite check FILE --out NEW --no-timing --data HOLE
train HOLE --out NEW
train --model HOLE --out NEW
train --set HOLE --out NEW
train CSV --out NEW --text-column HOLE
train CSV --out NEW --text-column text --label-column HOLE
train PICS --out NEW --image-column HOLE
adopt REF HOLE --out NEW
inject REF --out NEW {_BRIEF} --method HOLE
inject REF --out NEW {_BRIEF} --set HOLE
inject REF --out NEW {_BRIEF} --trigger HOLE
inject REF --out NEW {_BRIEF} --target HOLE
inject REF --out NEW {_BRIEF} --label-rule HOLE
inject REF --out NEW {_BRIEF} --batchnorm HOLE
inject REF --out NEW {_BRIEF} --anchors-from HOLE
inject REF --out NEW {_BRIEF} --anchors-data HOLE
inject TEXTREF --out NEW {_BRIEF} --trigger word:HOLE
inject TEXTREF --out NEW {_BRIEF} --trigger sentence:HOLE
inject TEXTREF --out NEW {_BRIEF} --target HOLE
compare REF CAND --task HOLE
compare REF CAND --split HOLE
compare REF CAND --trigger HOLE
compare LOGITS LOGITS --labels LABELS --fail-if HOLE
analyze REF CAND --budget HOLE
analyze REF CAND --set HOLE
repair CAND --repair HOLE
repair CAND --repair fine-tuning --set HOLE
detect CAND --detector HOLE
detect CAND --detector last-layer --set HOLE
audit REF CAND --benign CAND --benign CAND --benign CAND --level 0.5 --split HOLE
population HOLE --out NEW
population digits --out NEW --trigger HOLE --detector nothing
population digits --out NEW --method HOLE --detector nothing
population digits --out NEW --detector HOLE
population digits --out NEW --label-rule HOLE --detector nothing
"""

#: Model folders with one damaged file.
MODELS = f"""
adopt HOLE digits --out NEW
inject HOLE --out NEW {_BRIEF}
compare REF HOLE
repair HOLE --repair interpolation
"""
TEXT_MODELS = f"""
train CSV --model HOLE --out NEW {_TEXT} --set epochs=1
compare TEXTREF HOLE
"""

#: Data folders with one damaged file.
SAVED = f"""
train HOLE --out NEW {_TEXT} --model TEXTREF --set epochs=1
"""


def commands(table: str) -> list[list[str]]:
    """The commands of a table, as words."""
    return [line.split(" ") for line in table.strip().splitlines()]
