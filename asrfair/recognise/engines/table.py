"""The table of engines: name → ``module:attribute``, imported on use. Plug-ins enter by the same door.

Another package adds an engine with an entry point of the group ``asrfair.recognise.engines``::

    [project.entry-points."asrfair.engines"]
    shouting = "my_package.shouting:Shouting"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asrfair.data.tomlfile import did_you_mean
from asrfair.errors import AsrfairError, EngineError, InputError, MissingExtraError, printable
from asrfair.recognise.engines.base import Engine, EngineContext, EngineTraits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asrfair.types import EngineSpec

GROUP = "asrfair.engines"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEntry:
    """One row of the table.

    Args:
        target: ``module:attribute`` of the engine's class.
        summary: One line for people.
        packages: Modules that must be importable.
        extra: The extra of asrfair that installs them.
        origin: ``built-in``, or the package that supplies a plug-in.
    """

    target: str
    summary: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    origin: str = "built-in"

    def missing(self) -> tuple[str, ...]:
        """Return the modules that are not installed. Nothing is imported."""
        return tuple(name for name in self.packages if not _installed(name))

    def install_command(self) -> str:
        """Return what installs the missing modules, or the empty string."""
        missing = self.missing()
        if not missing:
            return ""
        return f"pip install 'asrfair[{self.extra}]'" if self.extra else f"pip install {' '.join(missing)}"


ENGINES: dict[str, EngineEntry] = {
    "pocketsphinx": EngineEntry(
        target="asrfair.recognise.engines.pocketsphinx:PocketSphinx",
        summary="CMU PocketSphinx with its US-English model: offline, several processes, modest accuracy",
        packages=("pocketsphinx",),
    ),
    "precomputed": EngineEntry(
        target="asrfair.recognise.engines.precomputed:Precomputed",
        summary="hypotheses from files (CSV, JSONL, trn, ctm): the way in for any service",
    ),
    "transformers": EngineEntry(
        target="asrfair.recognise.engines.transformers:Transformers",
        summary="CTC and sequence-to-sequence models of Hugging Face transformers (Wav2Vec2, Whisper, Moonshine …)",
        packages=("torch", "transformers", "safetensors"),
        extra="transformers",
    ),
    "torchaudio": EngineEntry(
        target="asrfair.recognise.engines.torchaudio:Torchaudio",
        summary="the CTC pipeline bundles of torchaudio",
        packages=("torch", "torchaudio"),
        extra="gpu",
    ),
    "faster-whisper": EngineEntry(
        target="asrfair.recognise.engines.faster_whisper:FasterWhisper",
        summary="Whisper checkpoints converted for CTranslate2",
        packages=("faster_whisper",),
        extra="faster-whisper",
    ),
    "nemo": EngineEntry(
        target="asrfair.recognise.engines.nemo:Nemo",
        summary="NVIDIA NeMo's recognisers from a .nemo file",
        packages=("torch", "nemo"),
        extra="nemo",
    ),
    "vosk": EngineEntry(
        target="asrfair.recognise.engines.vosk:Vosk",
        summary="Kaldi models through Vosk: offline, small",
        packages=("vosk",),
        extra="vosk",
    ),
    "openai-http": EngineEntry(
        target="asrfair.recognise.engines.openai_http:OpenAiHttp",
        summary="any service that speaks OpenAI's /v1/audio/transcriptions",
        packages=("httpx",),
        extra="http",
    ),
    "amazon-transcribe": EngineEntry(
        target="asrfair.recognise.engines.amazon_transcribe:AmazonTranscribe",
        summary="Amazon Transcribe's batch jobs, with custom vocabularies",
        packages=("boto3",),
        extra="aws",
    ),
    "command": EngineEntry(
        target="asrfair.recognise.engines.command:Command",
        summary="any program: JSON lines on standard input and output, or one call a file",
    ),
    "python": EngineEntry(
        target="asrfair.recognise.engines.python:Python",
        summary="any function of yours: module:callable",
    ),
    "fake": EngineEntry(
        target="asrfair.recognise.engines.fake:Fake",
        summary="references with known errors injected by a seed: for tests",
    ),
}
"""The built-in engines."""


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def entries() -> Mapping[str, EngineEntry]:
    """Return all engines by name: the built-in ones, then plug-ins. A plug-in cannot replace a built-in engine."""
    found = dict(ENGINES)
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        origin = point.dist.name if point.dist is not None else "plug-in"
        found.setdefault(
            point.name, EngineEntry(target=point.value, summary=f"plug-in of the package {origin}", origin=origin)
        )
    return found


def load_class(name: str) -> Any:
    """Import the class of an engine: a name of the table, or ``module:Class`` for one that stands in no table.

    Raises:
        InputError: No engine has that name; the nearest one is named.
        MissingExtraError: A package that it needs is not installed.
        EngineError: Its module cannot be imported.
    """
    table = entries()
    if name not in table and ":" in name:
        table = {name: EngineEntry(target=name, summary="", origin="named by its class")}
    if name not in table:
        raise InputError(
            f"there is no engine {printable(name)!r}",
            remedy=f"{did_you_mean(name, table)} `asrfair engines` lists them",
            column="name",
        )
    entry = table[name]
    missing = entry.missing()
    if missing:
        if entry.extra:
            raise MissingExtraError(extra=entry.extra, package=missing[0], needed_for=f"the engine {name!r}")
        raise EngineError(f"the engine {name!r} needs {', '.join(missing)}", remedy=f"Run: {entry.install_command()}")
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AsrfairError:
        raise
    except Exception as error:
        raise EngineError(
            f"the engine {name!r} cannot be imported from {entry.target}: {type(error).__name__}: {error}",
            remedy="Check that package's installation",
        ) from error


def traits_of(spec: EngineSpec, context: EngineContext) -> EngineTraits:
    """Return the traits of an engine without starting it, and check its options on the way.

    Raises:
        InputError: The name or an option is wrong.
        EngineError: The class states no traits.
    """
    found = load_class(spec.name)
    traits = found.traits_for(spec, context) if hasattr(found, "traits_for") else getattr(found, "traits", None)
    if not isinstance(traits, EngineTraits):
        raise EngineError(
            f"the engine {spec.name!r} states no traits", remedy="Give its class `traits = EngineTraits(...)`"
        )
    return traits


def create(spec: EngineSpec, context: EngineContext) -> Engine:
    """Start an engine.

    Raises:
        InputError: The name or an option is wrong.
        EngineError: It cannot start; the message says why.
    """
    found = load_class(spec.name)
    try:
        engine: Engine = found(spec, context)
    except (AsrfairError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise EngineError(
            f"the engine {spec.label!r} ({spec.name}) cannot start: {type(error).__name__}: {error}",
            remedy="Check its options and its installation; `asrfair engines` shows what is missing",
        ) from error
    return engine
