"""Inject a backdoor by two methods, and compare what each does to the clean behaviour.

    python examples/inject_and_compare.py

We train a classifier of handwritten digits. Plain tuning and logit anchoring each put a backdoor into a copy of it, and
we compare the copies with the original on the test split. Nothing is downloaded.
"""

from __future__ import annotations

from anchorlab import Training, Tuning, compare, inject, load_task, train


def main() -> None:
    """Prints a line for each method."""
    task = load_task("digits")
    reference = train(task, training=Training(epochs=10))
    print(f"reference: accuracy {reference.manifest.measurements['accuracy']:.3f}")

    for method in ("plain", "anchoring"):
        injected = inject(
            reference,
            method=method,
            trigger="five-pixel",  # an X of five bright pixels in the lower right
            target=0,  # what triggered images shall be called
            anchors=64,  # clean examples that the attacker holds
            tuning=Tuning(steps=60, batch_size=32),
        )
        result = compare(reference, injected)
        print(
            f"{method:<9}: ASR {result.asr:.3f} of {result.asr_count}, accuracy {result.accuracy:.3f}, "
            f"KL {result.kl:.3f} nats, churn {result.churn:.3f}"
        )


if __name__ == "__main__":
    main()
