"""Analysis of the change of weights: its size, what it does to the function, and the basin it stays in."""
