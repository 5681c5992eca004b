"""What was computed once and can be computed again: a folder of the user's that all processes share.

``place`` says where it is and how large it may grow, ``store`` writes and reads its entries, ``notes`` its small
values, and ``upkeep`` lists and removes them. Nothing in it is ever unpickled, and without it everything works as well.
"""
