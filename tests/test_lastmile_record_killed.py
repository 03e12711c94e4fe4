"""SIGKILL of the recording server at random moments: no take that was said to be saved is lost."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from record_page import Client, make_kit, wav

from asrfair.lastmile.recorder.takes import inspect

KILLS = int(os.environ.get("ASRFAIR_RECORDER_KILLS", "8"))
"""Of the acceptance criterion there are 50; a sample runs with the slow tests."""


class Page(threading.Thread):
    """Records sentences over and over, as fast as the server takes them, and notes what was sent and what was saved."""

    def __init__(self, client: Client, speaker: str, prompts: list[str], round_: int) -> None:
        super().__init__(daemon=True)
        self.client, self.speaker, self.prompts, self.round = client, speaker, prompts, round_
        self.saved: dict[str, str] = {}
        self.sent: dict[str, list[str]] = {}
        self.first = threading.Event()

    def run(self) -> None:
        """Go on until the server is gone."""
        number = 0
        while True:
            number += 1
            prompt = self.prompts[number % len(self.prompts)]
            take = wav(0.3, rate=16_000, seed=self.round * 1_000_000 + number)
            digest = hashlib.sha256(take).hexdigest()
            self.sent.setdefault(prompt, []).append(digest)
            try:
                status, said = self.client.ask("PUT", f"/api/take/{self.speaker}/{prompt}", body=take)
            except (OSError, http.client.HTTPException, ValueError):
                return
            assert status == 200, said
            self.saved[prompt] = said["sha256"]
            self.first.set()
            self.sent[prompt] = self.sent[prompt][-1:]


def serve(kit: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command, and return it with the link that it shows."""
    arguments = ["lastmile", "record", str(kit), "--no-browser"]
    server = subprocess.Popen(
        [sys.executable, "-c", "import sys; from asrfair.cli.main import run; sys.exit(run(sys.argv[1:]))", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return server, found[0]
    raise AssertionError(f"the server showed no link, and ended with {server.wait()}")


@pytest.mark.slow
def test_no_take_that_was_saved_is_lost(tmp_path: Path) -> None:
    """After each kill every sentence's file is whole, and is the take last said to be saved or one sent after it."""
    kit = make_kit(tmp_path / "kit", sentences=5)
    dice = random.Random(15)
    saved: dict[tuple[str, str], str] = {}
    taken = 0
    speaker = ""
    for number in range(KILLS):
        server, link = serve(kit.folder)
        try:
            client = Client(link, tab=f"{number:032x}")
            speaker = speaker or client.begin()
            prompts = [prompt["id"] for prompt in client.ask("GET", "/api/state")[1]["prompts"]]
            page = Page(client, speaker, prompts, number)
            page.start()
            if number % 4:  # else it may be killed while it still gets ready
                assert page.first.wait(60)
            time.sleep(dice.uniform(0.0, 1.0))
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
        page.join(30)
        assert not page.is_alive()
        taken += len(page.saved)
        saved |= {(speaker, prompt): digest for prompt, digest in page.saved.items()}
        for (who, prompt), digest in saved.items():
            path = kit.recordings / who / f"{prompt}.wav"
            with path.open("rb") as stream:
                found = inspect(stream, longest_s=60.0).sha256
            assert found in {digest, *page.sent.get(prompt, [])}, f"kill {number}: {prompt}"
            saved[who, prompt] = found
    assert taken
    lines = (kit.folder / "consents.jsonl").read_text().splitlines()
    assert [speaker] == [json.loads(line)["speaker_id"] for line in lines]
