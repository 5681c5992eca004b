"""Made-up results of the shape and size that real ones have."""

import json

import numpy as np
import pandas as pd
import pytest

# method: strength, logit distance, KL, Pearson, churn, accuracy, ASR
TYPICAL = {
    "plain": (None, 8.4, 0.22, 0.68, 0.064, 0.891, 0.9994),
    "plain (stopped)": (None, 5.1, 0.17, 0.71, 0.055, 0.897, 0.991),
    "l2": (0.1, 6.3, 0.18, 0.70, 0.058, 0.894, 0.9971),
    "ewc": (100.0, 5.9, 0.16, 0.72, 0.053, 0.897, 0.9968),
    "surgery": (1000.0, 0.90, 0.032, 0.79, 0.039, 0.905, 0.9952),
    "weight-ball": (0.02, 1.7, 0.061, 0.75, 0.046, 0.902, 0.9931),
    "anchoring": (2.0, 0.054, 0.0125, 0.87, 0.024, 0.913, 0.9989),
    "benign": (None, 1.1, 0.021, 0.84, 0.030, 0.914, None),
}


def make_results(anchors=(640,), seeds=(0, 1, 2), methods=tuple(TYPICAL)):
    """One row a run; the fewer anchors, the larger the shifts."""
    rng = np.random.default_rng(5)
    rows = []
    for seed in seeds:
        for count in anchors:
            for method in methods:
                strength, distance, kl, pearson, churn, accuracy, asr = TYPICAL[method]
                harder = (640 / count) ** 0.3
                noise = np.exp(rng.normal(0, 0.12, size=3))
                churn = min(churn * harder * noise[2], 0.5)
                wrong = 1 - min(pearson, 0.999)
                rows.append(
                    {
                        "method": method,
                        "strength": strength,
                        "parameters": json.dumps({} if strength is None else {"strength": strength}),
                        "anchors": count,
                        "seed": seed,
                        "reference_seed": seed,
                        "steps": 600,
                        "seconds": 12 * noise[0],
                        "peak_bytes": 900_000_000 + seed,
                        "accuracy": accuracy - 0.01 * (harder - 1) + rng.normal(0, 0.001),
                        "accuracy_reference": 0.9150 + 0.001 * seed,
                        "asr": None if asr is None else min(1, asr + rng.normal(0, 0.001)),
                        "asr_count": 9000,
                        "asr_reference": None if asr is None else 0.0021 + 0.0001 * seed,
                        "logit_distance": distance * harder * noise[0],
                        "logit_distance_centred": 0.9 * distance * harder * noise[0],
                        "probability_distance": churn * 1.3,
                        "kl": kl * harder * noise[1],
                        "kl_symmetric": 1.1 * kl * harder * noise[1],
                        "pearson_correct": 1 - wrong * harder * noise[2],
                        "pearson_score": 1 - 0.9 * wrong * harder * noise[2],
                        "churn": churn,
                        "negative_flips": 0.6 * churn,
                        "positive_flips": 0.3 * churn,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def results():
    """Eight methods, two numbers of anchors, three seeds."""
    return make_results(anchors=(64, 640))
