"""``python -m anchorlab``: the command line, in the form that launchers of several processes take."""

from __future__ import annotations

import os

from anchorlab.cli import main

if __name__ == "__main__":
    if "WORLD_SIZE" not in os.environ:  # no launcher, so that help need not wait for torch
        main()
    from anchorlab.training.processes import main_process_output

    with main_process_output():
        main()
