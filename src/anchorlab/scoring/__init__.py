"""How well repairs and detectors do: here alone the attack's own trigger and the test data meet them."""
