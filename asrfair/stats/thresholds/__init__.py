"""Levels at which groups begin to be failed: the parameter that was turned, what was heard, the tables of it."""
