"""``asrfair doctor``: what this machine has, and whether one second of audio goes all the way through."""

from __future__ import annotations

import importlib.metadata
import io
import json
import time
from dataclasses import asdict, dataclass

import click

PACKAGES = (
    "numpy", "soundfile", "soxr", "pocketsphinx", "torch", "torchaudio", "transformers", "faster-whisper",
    "ctranslate2", "httpx", "boto3", "vosk", "nemo_toolkit", "audiomentations", "pyroomacoustics",
)  # fmt: skip
CODECS = (
    ("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "GSM610"), ("AU", "G721_32"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the examination. ``good`` is ``None`` where something is absent that nobody needs."""

    what: str
    good: bool | None
    detail: str


@click.command()
@click.option("--licences", is_flag=True, help="List the packages that asrfair leads to, and their licences, instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def doctor(*, licences: bool, as_json: bool) -> int:
    """Check this machine: versions, GPU, codecs, and one second of audio through PocketSphinx.

    The exit code is 3 if something is broken that asrfair needs.
    """
    if licences:
        _licences(as_json=as_json)
        return 0
    found = [*versions(), *accelerator(), *codecs(), one_second()]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            mark = {True: "ok     ", False: "BROKEN ", None: "absent "}[finding.good]
            click.echo(f"{mark} {finding.what:<28} {finding.detail}")
    return 3 if any(finding.good is False for finding in found) else 0


def _licences(*, as_json: bool) -> None:
    from asrfair.data.licences import licences

    found = licences()
    if as_json:
        click.echo(json.dumps([asdict(item) for item in found], indent=2))
        return
    for item in found:
        note = f" ({item.note})" if item.note else ""
        click.echo(f"{item.package:<28} {item.version:<12} {item.licence}{note}")


def versions() -> list[Finding]:
    """Return the versions of what asrfair and its extras use."""
    found = []
    for name in PACKAGES:
        try:
            found.append(Finding(what=name, good=True, detail=importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(what=name, good=None, detail="not installed"))
    return found


def accelerator() -> list[Finding]:
    """Return the NVIDIA devices, and whether torch can use them."""
    from asrfair.data.gpu import gpus

    devices = [
        Finding(
            what="GPU", good=True, detail=f"{gpu['name']}, {gpu['used_mib']:.0f} of {gpu['total_mib']:.0f} MiB used"
        )
        for gpu in gpus()
    ]
    try:
        import torch
    except ImportError:
        return devices or [Finding(what="GPU", good=None, detail="no NVIDIA device, no torch")]
    usable = torch.cuda.is_available()
    build = f"torch {torch.__version__}"
    if devices and not usable:
        return [*devices, Finding(what="CUDA", good=False, detail=f"{build} cannot use it: install a CUDA build")]
    if not devices and not usable:
        return [Finding(what="GPU", good=None, detail=f"no NVIDIA device; {build} runs on the processor")]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    return [*devices, Finding(what="CUDA", good=True, detail=f"{build}, CUDA {torch.version.cuda}, {bf16}")]


def codecs() -> list[Finding]:
    """Write and read a tone in each format that manifests and handset profiles may use."""
    import numpy as np
    import soundfile

    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)).astype(np.float32)
    found = []
    for container, subtype in CODECS:
        stream = io.BytesIO()
        try:
            soundfile.write(stream, tone, 8_000, format=container, subtype=subtype)
            stream.seek(0)
            samples, _ = soundfile.read(stream, dtype="float32")
            good, detail = bool(len(samples) and np.abs(samples).max() > 0.1), f"{len(samples)} samples back"
        except (soundfile.SoundFileError, ValueError, TypeError) as error:
            good, detail = False, str(error)
        found.append(Finding(what=f"codec {container}/{subtype}", good=good, detail=detail))
    return found


def one_second() -> Finding:
    """Transcribe the first second of the demo corpus."""
    from dataclasses import replace

    from asrfair.data.audio import load_clip
    from asrfair.data.manifest import read_manifest
    from asrfair.data.resources import shipped
    from asrfair.recognise.engines import EngineContext, create
    from asrfair.types import EngineSpec

    started = time.perf_counter()
    try:
        utterance = next(read_manifest(shipped("manifests") / "demo" / "demo.toml").utterances())
        clip = load_clip(utterance, 16_000)
        engine = create(EngineSpec(name="pocketsphinx", label="pocketsphinx"), EngineContext())
        try:
            (heard,) = engine.transcribe([replace(clip, samples=clip.samples[:16_000])])
        finally:
            engine.close()
    except Exception as error:  # noqa: BLE001 -- whatever is broken is what was asked for
        return Finding(what="one second of speech", good=False, detail=f"{type(error).__name__}: {error}")
    detail = f"{heard.text or heard.error!r} in {time.perf_counter() - started:.1f} s, model loading included"
    return Finding(what="one second of speech", good=heard.status == "ok", detail=detail)
