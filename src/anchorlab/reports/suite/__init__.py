"""The report of a suite: one web page, with its tables and figures beside it."""
