"""Where a model's weights come from: a local folder, or a hub's repository at a pinned revision. Safetensors only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asrfair.errors import InputError, MissingExtraError
from asrfair.recognise.engines.base import EngineContext

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_HUB_ID = re.compile(r"^[\w.\-]+/[\w.\-]+$")
_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
_HASHED_SUFFIXES = (".safetensors", ".bin", ".json", ".txt", ".model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A folder with weights and configuration, and the name under which tables may speak of it."""

    folder: Path
    name: str
    revision: str

    def fingerprint(self) -> dict[str, str]:
        """Return the name, the revision, and a hash over all weight and configuration files."""
        return {"model": self.name, "revision": self.revision, "files_sha256": files_sha256(self.folder)}


def files_sha256(folder: Path) -> str:
    """Return a hash over the names and contents of a model's weight and configuration files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _HASHED_SUFFIXES:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def folder_bytes(path: Path, pattern: str = "*") -> int:
    """Return the size of a file, or of a folder's files of a pattern; 0 where there is nothing (yet)."""
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(found.stat().st_size for found in path.glob(pattern) if found.is_file())
    except OSError:
        return 0


def is_hub_id(model: str) -> bool:
    """Tell a hub id such as ``openai/whisper-small`` from a path."""
    return bool(_HUB_ID.match(model)) and not model.startswith(".")


def find_checkpoint(model: str, revision: str | None, context: EngineContext) -> Checkpoint:
    """Return the checkpoint that an engine's options ask for; a hub's is fetched into its cache.

    Raises:
        InputError: There is no such folder, a hub id has no pinned revision, or there are no safetensors weights.
        MissingExtraError: A hub id was given and ``huggingface_hub`` is not installed.
    """
    folder = context.path(model)
    if folder.is_dir():
        checkpoint = Checkpoint(folder=folder, name=folder.name, revision=revision or "local")
    elif is_hub_id(model):
        fetched = fetch_from_hub(model, revision, _PATTERNS, extra="transformers")
        checkpoint = Checkpoint(folder=fetched, name=model, revision=str(revision))
    else:
        raise InputError(
            "there is no such model folder, and this is no hub id", column="model", value=model,
            remedy="Give a folder relative to the suite, or a hub id such as openai/whisper-small with its revision",
        )  # fmt: skip
    if not (checkpoint.folder / "config.json").is_file():
        raise InputError("the model's folder has no config.json", file=checkpoint.folder, column="model")
    if not any(checkpoint.folder.glob("*.safetensors")):
        raise InputError(
            "the model has no safetensors weights (other formats can run code when they are loaded)",
            file=checkpoint.folder, column="model", remedy="Convert it with its own library: save_pretrained(folder)",
        )  # fmt: skip
    return checkpoint


def fetch_from_hub(model: str, revision: str | None, patterns: Sequence[str], *, extra: str) -> Path:
    """Fetch the files of a hub's repository at a pinned commit into its cache, and return the folder.

    Raises:
        InputError: The revision is not pinned to a commit, or the files cannot be had.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    if revision is None or not _COMMIT.match(revision):
        raise InputError(
            f"a model of a hub needs its revision pinned to a commit ({model})", column="revision", value=revision,
            remedy="Copy the 40-digit commit of the model's 'Files' page: a name or a tag can change under you",
        )  # fmt: skip
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtraError(extra=extra, package="huggingface_hub", needed_for="a model of a hub") from error
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:
        raise InputError(
            f"the model {model} at {revision[:12]} cannot be fetched: {type(error).__name__}: {error}", column="model",
            remedy="Check the name, the revision and the network, or give a local folder",
        ) from error  # fmt: skip
