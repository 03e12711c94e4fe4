"""The manifest card of the EdAcc transcripts, for the tests that read them."""

EDACC_CARD = """\
[manifest]
name = "edacc"
version = "1"
table = {table}
licence = "CC-BY-SA-4.0"
[columns]
utterance_id = "utt_id"
exclude = "exclusion"
[reference]
remove = ['<[A-Z_]+>']
[attributes.accent]
description = "accent as the speaker described it"
provenance = "self-reported"
"""
