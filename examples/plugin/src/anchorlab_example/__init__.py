"""A method, a trigger, a repair, two detectors and a metric for anchorlab."""
