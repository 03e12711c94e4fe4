"""Comparisons: group against group, engine against engine, condition against condition, run against run."""
