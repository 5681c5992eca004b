"""An attack: a trigger on inputs, and the label rule that says who is attacked and what for."""
