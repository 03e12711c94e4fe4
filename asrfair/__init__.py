"""asrfair measures for whom, and where, speech recognition fails."""

__version__ = "0.1.0"
