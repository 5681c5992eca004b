"""One file a named task."""
