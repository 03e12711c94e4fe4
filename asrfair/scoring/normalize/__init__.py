"""Named, versioned text rules: what is a word, and which spellings are the same word.

Every number that asrfair prints depends on these rules, so a rule set has a name and a version
(``whisper-english@0.1.1``) and both stand in ``run.json``. docs/normalizers.md says what each one does.
"""

from __future__ import annotations

import hashlib
import importlib
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrfair.data.tomlfile import did_you_mean
from asrfair.data.trust import installed
from asrfair.errors import InputError, printable
from asrfair.scoring.normalize.variants import VARIANTS, VariantRules

__all__ = [
    "NORMALIZERS",
    "NormalizerFailedError",
    "TextNormalizer",
    "can_be_imported",
    "get_normalizer",
    "use_normalizer",
]

NORMALIZERS: dict[str, tuple[str, str]] = {
    "none": ("asrfair.scoring.normalize:as_it_is", "The text as it is, split at white space."),
    "basic": ("asrfair.scoring.normalize:lower_case_no_punctuation", "Lower case, ASCII punctuation removed."),
    "whisper-english": ("asrfair.scoring.normalize.whisper:WhisperEnglish", "OpenAI's rules for English, exactly."),
}
"""Name → (``module:attribute``, what it does). A class is instantiated once; a function is used as it is."""

ENTRY_POINTS = "asrfair.normalizers"
"""The group under which a package offers normalizers by name; such a name may stand in any file."""

_PUNCTUATION = str.maketrans("", "", string.punctuation)


class NormalizerFailedError(InputError):
    """A normalizer raised an error for one text, which can therefore not be scored."""


@dataclass(frozen=True, kw_only=True)
class TextNormalizer:
    """Text rules under a name and a version.

    Args:
        name: ``none``, ``basic``, ``whisper-english`` or ``module:callable``, without version and variants.
        version: The version of the rules.
        rules: Text to text, whose words are what stands between white space; or text to a list of words.
        variants: Further readings that count as right in a reference, or ``None``.
    """

    name: str
    version: str
    rules: Callable[[str], Any]
    variants: VariantRules | None = None

    @property
    def label(self) -> str:
        """What is recorded: ``whisper-english@0.1.1``, ``basic@1+dialect-english@1``."""
        extra = "" if self.variants is None else f"+{self.variants.name}@{self.variants.version}"
        return f"{self.name}@{self.version}{extra}"

    def words(self, text: str) -> list[str]:
        """Return the words of a text under these rules.

        Raises:
            NormalizerFailedError: The rules raise an error for this text, or return something else than text.
        """
        try:
            result = self.rules(text)
        except Exception as error:
            raise NormalizerFailedError(
                f"the normalizer {self.name!r} failed: {type(error).__name__}: {printable(str(error), limit=120)}",
                value=text,
                remedy="Mend the text or the normalizer",
            ) from error
        if isinstance(result, list) and len(result) == 1 and isinstance(result[0], list):
            result = result[0]  # jiwer's: a list of words for each of the texts given
        if isinstance(result, list) and all(isinstance(word, str) for word in result):
            return " ".join(result).split()
        if not isinstance(result, str):
            raise NormalizerFailedError(
                f"the normalizer {self.name!r} returned {type(result).__name__}, not text",
                value=text,
                remedy="A normalizer is a function from str to str, or to a list of words",
            )
        return result.split()


def as_it_is(text: str) -> str:
    """Return the text unchanged: the rules of ``none``."""
    return text


def lower_case_no_punctuation(text: str) -> str:
    """Return the text in lower case without the characters of ``string.punctuation``: the rules of ``basic``.

    Punctuation is removed, not replaced by a space: ``two-wave`` becomes ``twowave``, ``it's`` becomes ``its``.
    """
    return text.lower().translate(_PUNCTUATION)


_own: dict[str, TextNormalizer] = {}


def use_normalizer(rules: str | Callable[[str], Any]) -> str:
    """Return the name under which :func:`get_normalizer` finds these rules in this process.

    Args:
        rules: A name, which is returned as it is; or a function from text to text, or to words; a ``jiwer.Compose`` or
            any other transform of jiwer's among them.

    Raises:
        InputError: The rules cannot be called, or cut text into characters (asrfair counts characters by itself).
    """
    if isinstance(rules, str):
        return rules
    if not callable(rules):
        raise InputError("a normalizer is a name or a function", value=type(rules).__name__)
    steps = getattr(rules, "transforms", [rules])
    kinds = [getattr(step, "__name__", type(step).__name__) for step in steps]
    if "ReduceToListOfListOfChars" in kinds:
        raise InputError(
            "these rules cut text into characters",
            remedy="End with jiwer.ReduceToListOfListOfWords(); the metric 'cer' counts characters",
        )
    # what the steps are made of tells two pipelines of the same kinds of step apart
    made = repr(
        [
            (kind, sorted(vars(step).items())) if hasattr(step, "__dict__") else kind
            for kind, step in zip(kinds, steps, strict=True)
        ]
    )
    name = f"own({','.join(kinds)})"
    version = hashlib.sha256(made.encode()).hexdigest()[:8]
    _own[f"{name}@{version}"] = TextNormalizer(name=name, version=version, rules=rules)
    return f"{name}@{version}"


def can_be_imported(name: str) -> bool:
    """Whether another process can look this normalizer up, which a function of this process's own it cannot."""
    return name not in _own


def get_normalizer(name: str) -> TextNormalizer:
    """Look up a normalizer.

    Args:
        name: A name of :data:`NORMALIZERS`, what :func:`use_normalizer` has returned, or ``module:callable``;
            ``@version`` may follow and is then checked; ``+dialect-english`` may follow that and adds reference
            variants.

    Raises:
        InputError: There is no such normalizer, variant set or version.
    """
    if name in _own:
        return _own[name]
    base, *extras = name.split("+")
    plain, _, wanted = base.partition("@")
    if ":" in plain:
        found = _load_users(plain)
    elif plain in NORMALIZERS:
        found = _load(plain)
    elif (offered := installed(ENTRY_POINTS, plain)) is not None:
        found = _made(plain, offered, None)
    else:
        raise InputError(
            f"there is no normalizer {plain!r}",
            value=name,
            remedy=f"{did_you_mean(plain, NORMALIZERS)}; or 'module:callable' for one of your own",
        )
    if wanted and wanted != found.version:
        raise InputError(
            f"the normalizer {plain!r} is here in version {found.version}, not {wanted}",
            value=name,
            remedy="Install the version that was asked for, or leave the version out",
        )
    if len(extras) > 1:
        raise InputError("only one set of reference variants can be used at a time", value=name)
    if not extras:
        return found
    variants, _, version = extras[0].partition("@")
    if variants not in VARIANTS:
        raise InputError(
            f"there are no reference variants {variants!r}", value=name, remedy=did_you_mean(variants, VARIANTS)
        )
    rules = VARIANTS[variants]
    if version and version != rules.version:
        raise InputError(
            f"the reference variants {variants!r} are here in version {rules.version}, not {version}", value=name
        )
    return TextNormalizer(name=found.name, version=found.version, rules=found.rules, variants=rules)


def _load(name: str) -> TextNormalizer:
    module, attribute = NORMALIZERS[name][0].split(":")
    target: Any = getattr(importlib.import_module(module), attribute)
    rules: Callable[[str], str] = target() if isinstance(target, type) else target
    return TextNormalizer(name=name, version=getattr(rules, "version", "1"), rules=rules)


def _load_users(name: str) -> TextNormalizer:
    module_name, _, attribute = name.partition(":")
    remedy = "Give 'module:callable', with the module's folder on PYTHONPATH"
    try:
        module = importlib.import_module(module_name)
        target = getattr(module, attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"the normalizer cannot be imported: {error}", value=name, remedy=remedy) from error
    return _made(name, target, module)


def _made(name: str, target: Any, module: Any) -> TextNormalizer:
    """Turn what was imported into a normalizer with a version."""
    if isinstance(target, type):
        target = target()
    if not callable(target):
        raise InputError(
            "the normalizer is not callable",
            value=name,
            remedy="A normalizer is a function, or a class of such objects",
        )
    module = module or sys.modules.get(getattr(target, "__module__", ""))
    version = getattr(target, "version", None) or getattr(module, "__version__", None)
    if version is None:
        source = getattr(module, "__file__", None)
        version = hashlib.sha256(Path(source).read_bytes()).hexdigest()[:12] if source else "unversioned"
    return TextNormalizer(name=name, version=str(version), rules=target)
