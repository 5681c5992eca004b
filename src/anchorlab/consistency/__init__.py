"""How alike two classifiers behave on the same examples."""
