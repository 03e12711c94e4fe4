"""Where: puts clean speech into an acoustic condition, the same bytes every time, and records what was achieved.

``profiles`` reads what a place is, ``effects`` change samples, ``sources`` make noise, ``render`` runs the chain over
an utterance.
"""

from asrfair.acoustics.profiles import (
    CLEAN_CONDITION,
    Condition,
    Profile,
    find_profile,
    list_further_profiles,
    list_profiles,
    parse_condition,
)
from asrfair.acoustics.render import Rendered, Renderer, needs_manifest
from asrfair.acoustics.speech_material import RenderContext

__all__ = [
    "CLEAN_CONDITION",
    "Condition",
    "Profile",
    "RenderContext",
    "Rendered",
    "Renderer",
    "find_profile",
    "list_further_profiles",
    "list_profiles",
    "needs_manifest",
    "parse_condition",
]
