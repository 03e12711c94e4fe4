"""What comes in and what lies on disk: manifests, corpora, hypotheses, audio, tables, run files."""
