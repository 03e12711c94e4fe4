"""The sections of each template, in order, and what an author is asked to write in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section: its key in the author's file, its title, what belongs into it, and what the runs add.

    ``adds`` names makers of :mod:`asrfair.cards.build`.
    """

    key: str
    title: str
    hint: str
    depth: int = 2
    adds: tuple[str, ...] = ()


Outline = tuple[Part, ...]

AWS: Final[Outline] = (
    Part(key="overview", title="Overview", hint="What the service does, for whom, and how its quality is measured."),
    Part(
        key="intended_use",
        title="Intended use cases and limitations",
        hint="What it is for, what it is not for, and what degrades it.",
    ),
    Part(key="design", title="Design of the service", hint="A sentence or two; the sections below say the rest."),
    Part(key="machine_learning", title="Machine learning", hint="How recordings become text.", depth=3),
    Part(
        key="performance_expectations",
        title="Performance expectations",
        hint="What a customer should expect, and what it depends on.",
        depth=3,
        adds=("overall",),
    ),
    Part(
        key="test_driven_methodology",
        title="Test-driven methodology",
        hint="Which data sets, collected how, and why these.",
        depth=3,
        adds=("method", "runs"),
    ),
    Part(
        key="fairness_and_bias",
        title="Fairness and bias",
        hint="For which groups it was assessed, and which are missing.",
        depth=3,
        adds=("answer", "floors", "picture", "groups", "gaps", "suppression"),
    ),
    Part(
        key="explainability", title="Explainability", hint="What a customer sees of how sure the service is.", depth=3
    ),
    Part(
        key="robustness",
        title="Robustness",
        hint="How it was made to withstand noise, rooms, telephones.",
        depth=3,
        adds=("conditions", "thresholds"),
    ),
    Part(
        key="privacy_and_security", title="Privacy and security", hint="What happens to recordings and texts.", depth=3
    ),
    Part(
        key="transparency",
        title="Transparency",
        hint="What customers and the people recorded are told, and where.",
        depth=3,
        adds=("stated",),
    ),
    Part(key="governance", title="Governance", hint="Who decides, reviews and answers.", depth=3),
    Part(
        key="deployment",
        title="Deployment and performance optimization best practices",
        hint="What a customer can do for better results, and how to test on its own people and rooms.",
    ),
    Part(
        key="further_information",
        title="Further information",
        hint="Links to documents; where to report problems.",
        adds=("provenance",),
    ),
    Part(key="glossary", title="Glossary", hint="Words of your own.", adds=("glossary",)),
)

MODEL_CARD: Final[Outline] = (
    Part(key="model_details", title="Model details", hint="Who made it, when, which version, which kind of model."),
    Part(key="intended_use", title="Intended use", hint="Primary uses, primary users, uses out of scope."),
    Part(
        key="factors",
        title="Factors",
        hint="Groups, instruments and surroundings that matter, and which of them were assessed.",
        adds=("factors",),
    ),
    Part(key="metrics", title="Metrics", hint="Why these measures.", adds=("method",)),
    Part(key="evaluation_data", title="Evaluation data", hint="Which data sets, and why.", adds=("runs",)),
    Part(key="training_data", title="Training data", hint="What is known of it."),
    Part(
        key="quantitative_analyses",
        title="Quantitative analyses",
        hint="What to read from the tables.",
        adds=("answer", "floors", "picture"),
    ),
    Part(
        key="unitary_results",
        title="Unitary results",
        hint="By one attribute at a time.",
        depth=3,
        adds=("overall", "unitary", "gaps", "thresholds"),
    ),
    Part(
        key="intersectional_results",
        title="Intersectional results",
        hint="By two or more attributes together.",
        depth=3,
        adds=("intersectional", "suppression"),
    ),
    Part(key="ethical_considerations", title="Ethical considerations", hint="Risks, harms, people affected."),
    Part(
        key="caveats",
        title="Caveats and recommendations",
        hint="What was not tested, and what to do before use.",
        adds=("stated", "provenance"),
    ),
)

OUTLINES: Final[Mapping[str, Outline]] = {"aws": AWS, "model-card": MODEL_CARD, "hf": MODEL_CARD, "json": AWS}
"""Template → its sections. ``hf`` is a model card with metadata; ``json`` is the service card as data."""
ALL_KEYS: Final = frozenset(part.key for outline in OUTLINES.values() for part in outline)
