"""Two causal language models over texts, token by token: does the candidate still answer like the reference?"""
