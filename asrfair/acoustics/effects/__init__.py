"""The effects, one family a file; ``base.EFFECTS`` is the table of their names."""
