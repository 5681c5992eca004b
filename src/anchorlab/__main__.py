"""``python -m anchorlab``: the command line, in the form that launchers of several processes take."""

from __future__ import annotations

from anchorlab.cli import main
from anchorlab.training.processes import main_process_output

if __name__ == "__main__":
    with main_process_output():
        main()
