"""What the process imports of which workers are forks: whatever a job needs, so that no worker imports it again.

It computes nothing. A thread, or a GPU that was begun, would not survive the fork.
"""

from __future__ import annotations

from anchorlab.notices import quiet_imports

quiet_imports()  # before transformers is imported

# ruff: noqa: E402

import accelerate
import jinja2
import pyarrow.parquet
import sklearn.cluster
import sklearn.datasets
import sklearn.decomposition
import sklearn.metrics
import transformers.modeling_utils
import transformers.models.auto.modeling_auto
import transformers.models.bert.modeling_bert
import transformers.models.bert.tokenization_bert

import anchorlab.suites.evaluating
import anchorlab.suites.work

__all__ = ["accelerate", "anchorlab", "jinja2", "pyarrow", "sklearn", "transformers"]
