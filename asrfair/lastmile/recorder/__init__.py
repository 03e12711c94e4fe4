"""The volunteer's session: consent, answers, one sentence at a time, and the empty room; every take safe on disk."""
