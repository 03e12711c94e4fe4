"""The public names of asrfair, as functions; ``import asrfair`` offers them, and imports each on its first use.

The command line, the pages and the kit call the same stages: what is here turns people's own objects (DataFrames, paths,
pipelines of jiwer) into tables and settings, and gives results back as objects that can be looked at.
"""
