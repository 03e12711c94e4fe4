"""From audio to transcripts: engines, the batches they are fed with, and the crash-safe record of what came back."""
