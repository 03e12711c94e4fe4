"""Where: puts clean speech into an acoustic condition, the same bytes every time, and records what was achieved.

``profiles`` reads what a place is, ``effects`` change samples, ``render`` runs the chain over an utterance.
"""
