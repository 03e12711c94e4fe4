"""The stages put together: a suite, or transcripts that exist already, to one run folder."""
