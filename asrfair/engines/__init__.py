"""Recognisers: one small protocol (base.py), one table of names (table.py), one engine a file."""

from asrfair.engines.base import Engine, EngineBase, EngineContext, EngineTraits, read_options
from asrfair.engines.table import ENGINES, EngineEntry, create, traits_of

__all__ = [
    "ENGINES",
    "Engine",
    "EngineBase",
    "EngineContext",
    "EngineEntry",
    "EngineTraits",
    "create",
    "read_options",
    "traits_of",
]
