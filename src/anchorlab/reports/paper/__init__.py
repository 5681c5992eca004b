"""A suite for a paper: figures at column width, a LaTeX table, references, and a paragraph on the methods."""
