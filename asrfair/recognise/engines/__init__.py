"""Recognisers: one small protocol (base.py), one table of names (table.py), one engine a file."""

from asrfair.recognise.engines.base import Engine, EngineBase, EngineContext, EngineTraits, read_options
from asrfair.recognise.engines.table import ENGINES, EngineEntry, create, traits_of

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
