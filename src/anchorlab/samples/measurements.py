"""What is measured of two runs' scores of one task, by which gates and tables read it."""

from __future__ import annotations

#: The measurements that a gate may name, each with its definition.
MEASUREMENTS = {
    "difference": "Mean score of the candidate less the reference's, over documents.",
    "negative_flips": "Share of documents that were right and became wrong, of a metric that is 0 or 1.",
    "positive_flips": "Share of documents that were wrong and became right, of a metric that is 0 or 1.",
    "churn": "Share of documents whose answer differs, right or wrong.",
    "p": "Two-sided p of the difference: McNemar's exact test of a metric that is 0 or 1, else Student's paired t, or"
    " a sign test where every score changed by the same.",
    "p_holm": "The same, adjusted for all rows by Holm's method.",
}
