"""Audit a vendor's update of a model: does it still answer like the version that you trust?

    python examples/audit_update.py

You hold version 1 and get version 2. First a gate: how many answers changed? Then an audit: do they change more than
real benign updates change them? Here the vendor's update hides a backdoor; nothing below knows the trigger.
"""

from __future__ import annotations

from anchorlab import Training, Tuning, audit, compare, inject, load_task, train


def main() -> None:
    """Prints the gate's and the audit's findings."""
    task = load_task("digits")
    trusted = train(task, training=Training(epochs=10))
    tuning = Tuning(steps=40, batch_size=32)
    update = inject(trusted, method="plain", anchors=64, tuning=tuning)  # what the vendor sends

    result = compare(trusted, update)
    allowed = 0.01
    print(f"churn {result.churn:.3f}, allowed {allowed}: {'refused' if result.churn > allowed else 'accepted'}")
    print(f"right answers that became wrong: {result.negative_flips:.3f}")

    # Short and long updates on clean data alone. 39 of them allow a test at level 0.05; four show how it works.
    found = audit(trusted, update, benign=4, level=0.4)
    for access in found.accesses:
        print(f"an auditor who sees {access.access}: p = {access.p:.2f} (at least {2 / (1 + found.updates):.2f})")
    print("\n".join(found.sentences))


if __name__ == "__main__":
    main()
