"""Tables, figures and the written report of many runs."""
