"""``python -m anchorlab``: the command line, in the form that launchers of several processes take."""

from __future__ import annotations

from anchorlab.cli import main
from anchorlab.processes import one_voice

if __name__ == "__main__":
    with one_voice():
        main()
