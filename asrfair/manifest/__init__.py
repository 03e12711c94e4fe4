"""Manifests: who spoke, what was said, where the audio is, and what is known about the speakers."""

from asrfair.manifest.card import AttributeCard, Card
from asrfair.manifest.groupable import check_groupable
from asrfair.manifest.model import Manifest, Problem
from asrfair.manifest.read import inspect_manifest, read_manifest
from asrfair.manifest.validate import problems

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
