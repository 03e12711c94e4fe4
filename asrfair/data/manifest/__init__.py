"""Manifests: who spoke, what was said, where the audio is, and what is known about the speakers."""

from asrfair.data.manifest.card import AttributeCard, Card
from asrfair.data.manifest.groupable import check_groupable
from asrfair.data.manifest.model import Manifest, Problem
from asrfair.data.manifest.read import inspect_manifest, read_manifest
from asrfair.data.manifest.validate import problems

__all__ = [
    "AttributeCard",
    "Card",
    "Manifest",
    "Problem",
    "check_groupable",
    "inspect_manifest",
    "problems",
    "read_manifest",
]
