"""Train a small CTC recogniser on the demo corpus: an ordinary transformers checkpoint, made here in a few minutes.

Weights are made, not committed. The recogniser has learnt the demo's own sentences by heart: it exists so that tests and
benchmarks load and run a real checkpoint through the same code as any other, and is of no use on other speech::

    python scripts/train_demo_ctc.py checkpoints/demo-ctc
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from asrfair.acoustics.torchaudio_import import ensure_importable
from asrfair.data.audio import load_clip
from asrfair.data.manifest import read_manifest

ensure_importable()
from transformers import (  # noqa: E402 -- transformers imports torchaudio, which must be importable first
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

ALPHABET = "abcdefghijklmnopqrstuvwxyz'"
RATE_HZ = 16_000


def gabor_filters(count: int, length: int) -> torch.Tensor:
    """Return a filter bank to start from: windowed sines and cosines on the mel scale, shape (count, 1, length)."""
    top_mel = 2595 * math.log10(1 + (RATE_HZ / 2 - 200) / 700)
    mel = torch.linspace(150, top_mel, count // 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    time_s = torch.arange(length) / RATE_HZ
    window = torch.hann_window(length)
    phase = 2 * math.pi * hertz[:, None] * time_s[None]
    bank = torch.cat([torch.cos(phase), torch.sin(phase)]) * window
    return (bank / bank.norm(dim=1, keepdim=True))[:, None]


def make_processor(folder: Path) -> Wav2Vec2Processor:
    """Write the vocabulary and return the processor: characters, masks on, each clip normalised by itself."""
    vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2, **{letter: index for index, letter in enumerate(ALPHABET, start=3)}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), unk_token="<unk>", pad_token="<pad>", word_delimiter_token="|", bos_token=None, eos_token=None
    )  # fmt: skip
    features = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=RATE_HZ, padding_value=0.0, do_normalize=True, return_attention_mask=True
    )
    return Wav2Vec2Processor(feature_extractor=features, tokenizer=tokenizer)


def make_model() -> Wav2Vec2ForCTC:
    """Return a small untrained model of the Wav2Vec2 family with layer norm (the variant that takes masks)."""
    config = Wav2Vec2Config(
        vocab_size=3 + len(ALPHABET),
        hidden_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=480,
        conv_dim=(128, 160),
        conv_kernel=(400, 4),
        conv_stride=(160, 2),
        num_feat_extract_layers=2,
        feat_extract_norm="layer",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.0,
        apply_spec_augment=False,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        pad_token_id=0,
    )
    model = Wav2Vec2ForCTC(config)
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        first.weight.copy_(gabor_filters(*[first.weight.shape[0], first.weight.shape[2]]))
    return model


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", type=Path, default=Path("manifests/demo/demo.toml"))
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    generator = np.random.default_rng(1)
    manifest = read_manifest(arguments.manifest)
    utterances = list(manifest.utterances())
    clips = [load_clip(utterance, RATE_HZ).samples for utterance in utterances]
    processor = make_processor(arguments.folder)
    labels = [processor.tokenizer(utterance.reference.lower()).input_ids for utterance in utterances]
    model = make_model()
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {len(clips)} utterances")
    order = sorted(range(len(clips)), key=lambda index: len(clips[index]))
    batches = [order[start : start + arguments.batch] for start in range(0, len(order), arguments.batch)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=arguments.rate, weight_decay=0.01)
    steps = arguments.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=arguments.rate, total_steps=steps, pct_start=0.15)
    started = time.perf_counter()
    for epoch in range(arguments.epochs):
        model.train()
        losses = []
        for index in generator.permutation(len(batches)):
            chosen = batches[index]
            noisy = [clips[i] + generator.normal(0, 0.002, len(clips[i])).astype(np.float32) for i in chosen]
            inputs = processor(audio=noisy, sampling_rate=RATE_HZ, return_tensors="pt", padding=True)
            longest = max(len(labels[i]) for i in chosen)
            targets = torch.full((len(chosen), longest), -100)
            for row, i in enumerate(chosen):
                targets[row, : len(labels[i])] = torch.tensor(labels[i])
            loss = model(**inputs, labels=targets).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {time.perf_counter() - started:.0f} s", flush=True)
    model.eval()
    model.save_pretrained(arguments.folder, safe_serialization=True)
    processor.save_pretrained(arguments.folder)
    print(f"saved in {arguments.folder}")


if __name__ == "__main__":
    main()
