"""Volunteers on the recording page, in a real browser with a microphone that plays a known file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from record_page import make_kit, serving, wav

from asrfair.lastmile.kit import read_speakers
from asrfair.lastmile.recorder.session import sound_processing

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = os.environ.get("ASRFAIR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RATE_HZ = 44_100
"""That of the fake device; Chromium resamples files of other rates before the page hears them."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Ten seconds that the fake microphone plays again and again; no piece of it sounds like another."""
    samples = (np.random.default_rng(5).normal(0, 0.08, 10 * RATE_HZ).clip(-0.9, 0.9) * 32767).astype(np.int16)
    path = tmp_path_factory.mktemp("microphone") / "played.wav"
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path, samples


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """Playwright; skips with a reason where there is no Chromium (``ASRFAIR_REQUIRE_BROWSER=1`` makes that fail)."""
    message = "no Chromium found (apt-get install chromium, or set ASRFAIR_CHROMIUM)"
    if not CHROMIUM:
        if os.environ.get("ASRFAIR_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(driver: Any, played: tuple[Path, np.ndarray]) -> Iterator[Any]:
    """A Chromium that grants the microphone, which plays the file."""
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    arguments += [f"--use-file-for-fake-audio-capture={played[0]}", "--autoplay-policy=no-user-gesture-required"]
    started = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield started
    started.close()


def agree(page: Page, *, accent: str = "", first: bool = True) -> None:
    """Read, agree, answer, and let the page use the microphone, which it asks for once."""
    assert page.get_by_role("button", name="Begin").count() == 0
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("heading", name="About you").wait_for()
    if accent:
        page.get_by_role("radio", name=accent).check()
    page.get_by_role("button", name="Next").click()
    if first:
        page.get_by_role("button", name="Use the microphone").click()
    page.locator("#prompt").wait_for()


def speak(page: Page, *, seconds: float = 1.2) -> None:
    """Record one sentence with the button, and wait until it is saved."""
    page.locator("#record").click()
    page.get_by_text("Recording. Press Stop").wait_for()
    page.wait_for_timeout(1000 * seconds)
    page.locator("#record").click()
    page.get_by_role("status").filter(has_text="Saved.").wait_for(timeout=60_000)


def worst_step(recorded: np.ndarray, played: np.ndarray) -> int:
    """Largest difference between a recording and the played file, in steps of 16 bits, at the best alignment."""
    begin = int(np.flatnonzero(recorded)[0]) + RATE_HZ // 10  # a microphone that has just been opened gives zeros
    piece = recorded[begin : begin + 4 * RATE_HZ].astype(np.float64)
    looped = np.concatenate([played, played]).astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(looped) + len(piece))))
    found = np.fft.irfft(np.fft.rfft(looped, size) * np.conj(np.fft.rfft(piece, size)), size)[
        : len(looped) - len(piece)
    ]
    start = int(np.argmax(found))
    return int(np.abs(looped[start : start + len(piece)] - piece).max())


TONES_HZ = np.array([210.0, 440.0, 1030.0, 1970.0, 3110.0, 4790.0, 7130.0])
"""Of whole periods in a second, so that a file of them can be played again and again."""


def decibels(recorded: np.ndarray, amplitude: float) -> float:
    """How far a recording of the tones stands above its difference from them, at the one delay that fits best.

    The tones are taken as they were played, with one delay for all, so that a resampler's ripple counts as error too.
    """
    time_s = np.arange(len(recorded)) / RATE_HZ
    basis = np.exp(2j * np.pi * np.outer(time_s, TONES_HZ))
    found = np.linalg.lstsq(np.hstack([basis.real, basis.imag]), recorded, rcond=None)[0]
    phasors = found[: len(TONES_HZ)] - 1j * found[len(TONES_HZ) :]
    delays = np.arange(0.0, 1.0 / 10.0, 1e-6)  # the tones' common period is a tenth of a second
    delays = delays[np.argmax((np.exp(2j * np.pi * np.outer(delays, TONES_HZ)) @ phasors).real)] + np.linspace(
        -1e-6, 1e-6, 2001
    )
    delay = delays[np.argmax((np.exp(2j * np.pi * np.outer(delays, TONES_HZ)) @ phasors).real)]
    played = amplitude * np.cos(2 * np.pi * np.outer(time_s - delay, TONES_HZ)).sum(axis=1)
    return float(10 * np.log10(np.mean(played**2) / np.mean((recorded - played) ** 2)))


def test_a_device_of_another_rate(driver: Any, tmp_path: Path) -> None:
    """What a device of 48 kHz hears is resampled before the page gets it; it stays within 60 dB of what was played."""
    amplitude = 0.08
    time_s = np.arange(10 * 48_000) / 48_000
    samples = amplitude * np.cos(2 * np.pi * np.outer(time_s, TONES_HZ)).sum(axis=1)
    soundfile.write(tmp_path / "played.wav", np.round(samples * 32767).astype(np.int16), 48_000, subtype="PCM_16")
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    arguments += [f"--use-file-for-fake-audio-capture={tmp_path / 'played.wav'}"]
    kit = make_kit(tmp_path / "kit", sentences=1)
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
    with serving(kit) as server:
        page = browser.new_context().new_page()
        page.goto(server.link())
        agree(page)
        speak(page, seconds=2.5)
    browser.close()
    recorded, rate = soundfile.read(kit.recordings / "speaker-01" / "01.wav", dtype="float64")
    assert RATE_HZ == rate
    size = RATE_HZ // 2
    begin = int(np.flatnonzero(recorded)[0]) + RATE_HZ // 10
    starts = range(begin, len(recorded) - size, size // 2)  # where the file begins again, a piece is not all of it
    assert max(decibels(recorded[start : start + size], amplitude * 32767 / 32768) for start in starts) >= 60.0


def test_two_volunteers(browser: Any, tmp_path: Path, played: tuple[Path, np.ndarray]) -> None:
    """Consent to thanks twice: a repeat, a skip, a reload in the middle, the room; files are what was played, to 1 LSB."""
    kit = make_kit(tmp_path / "kit", sentences=10)
    (kit.room_folder / "room-1.wav").write_bytes(wav(57.0))
    with serving(kit) as server:
        context = browser.new_context()
        page = context.new_page()
        logged: list[str] = []
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto(server.link())
        for speaker, accent in (("speaker-01", "local"), ("speaker-02", "")):
            agree(page, accent=accent, first=speaker == "speaker-01")
            for number in range(1, 11):
                page.get_by_text(f"Sentence {number} of 10").wait_for()
                if number == 3:
                    page.get_by_role("button", name="Skip").click()
                    continue
                speak(page)
                if number == 2:
                    page.locator("#record").filter(has_text="Again").wait_for()
                    before = (kit.recordings / speaker / "02.wav").read_bytes()
                    speak(page)
                    assert before != (kit.recordings / speaker / "02.wav").read_bytes()
                if number == 5:
                    page.reload()
                    page.get_by_role("button", name="Use the microphone").click()
                    page.get_by_text("Sentence 6 of 10").wait_for()
                    continue
                page.locator("#next").click()
            page.get_by_role("heading", name="The empty room").wait_for()
            page.get_by_role("button", name="Not now").click()
            page.get_by_role("heading", name="Thank you").wait_for()
            page.get_by_role("button", name="The next person").click()
            page.get_by_role("heading", name="Consent").wait_for()
        context.close()
    assert [] == logged
    for speaker in ("speaker-01", "speaker-02"):
        takes = sorted((kit.recordings / speaker).iterdir())
        assert [f"{number:02d}.wav" for number in range(1, 11) if number != 3] == [take.name for take in takes]
        for take in takes:
            samples, rate = soundfile.read(take, dtype="int16")
            assert RATE_HZ == rate
            assert worst_step(samples, played[1]) <= 1
    for speaker in ("speaker-01", "speaker-02"):
        assert {"echo_cancellation": "off", "noise_suppression": "off", "auto_gain_control": "off"} == sound_processing(
            kit, speaker
        )
    table = read_speakers(kit).set_index("speaker_id")
    assert ["local", "not_stated"] == table["accent"].tolist()


def test_the_room_is_recorded_too(browser: Any, tmp_path: Path, played: tuple[Path, np.ndarray]) -> None:
    """After the last sentence a minute of the room (here what is left of it); the file is what was played."""
    kit = make_kit(tmp_path / "kit", sentences=1)
    with serving(kit) as server:
        page = browser.new_context().new_page()
        page.goto(server.link())
        page.clock.install()
        agree(page)
        page.locator("#record").click()
        page.clock.run_for(1500)
        page.locator("#record").click()
        for _ in range(20):
            page.clock.run_for(500)
        page.locator("#next").click()
        page.get_by_role("button", name="Record the room").click()
        for _ in range(64):
            page.clock.run_for(1000)
            page.wait_for_timeout(20)
        page.get_by_role("heading", name="Thank you").wait_for(timeout=60_000)
        page.context.close()
    samples, _ = soundfile.read(kit.room_folder / "room-1.wav", dtype="int16")
    assert worst_step(samples, played[1]) <= 1


def test_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    """From the consent text to a recorded sentence without a mouse."""
    kit = make_kit(tmp_path / "kit", sentences=2)
    with serving(kit) as server:
        page = browser.new_context().new_page()
        page.goto(server.link())
        page.get_by_role("checkbox").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="About you").wait_for()
        page.get_by_role("button", name="Next").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Use the microphone").wait_for()
        page.keyboard.press("Enter")
        page.locator("#prompt").wait_for()
        page.locator("body").press("Space")
        page.get_by_text("Recording. Press Stop").wait_for()
        page.wait_for_timeout(1000)
        page.keyboard.press("Space")
        page.get_by_role("status").filter(has_text="Saved.").wait_for(timeout=60_000)
        page.keyboard.press("Enter")
        page.get_by_text("Sentence 2 of 2").wait_for()
        page.keyboard.press("s")
        page.get_by_role("heading", name="The empty room").wait_for()
        page.context.close()
    assert (kit.recordings / "speaker-01" / "01.wav").is_file()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_step_is_accessible(browser: Any, tmp_path: Path, width: int, scheme: Any) -> None:
    """Axe finds nothing on consent, questions, sentence and room, and nothing is wider than a phone."""
    folder = Path(pytest.importorskip("axe_playwright_python").__file__).parent
    script = (folder / "axe.min.js").read_text(encoding="utf-8")
    kit = make_kit(tmp_path / "kit", sentences=1)
    with serving(kit) as server:
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        page.goto(server.link())

        def look(step: str) -> None:
            page.evaluate(script)
            found = page.evaluate("rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES)
            assert [] == [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]], step
            assert page.evaluate("document.documentElement.scrollWidth") <= width, step
            if os.environ.get("ASRFAIR_SCREENSHOTS"):
                page.screenshot(path=f"{os.environ['ASRFAIR_SCREENSHOTS']}/{step}-{width}-{scheme}.png")

        page.get_by_role("checkbox").check()
        look("consent")
        page.get_by_role("button", name="Begin").click()
        page.get_by_role("heading", name="About you").wait_for()
        look("questions")
        page.get_by_role("button", name="Next").click()
        look("microphone")
        page.get_by_role("button", name="Use the microphone").click()
        page.locator("#prompt").wait_for()
        speak(page)
        look("sentence")
        page.locator("#next").click()
        page.get_by_role("heading", name="The empty room").wait_for()
        look("room")
        context.close()


def test_a_refused_microphone_is_explained(driver: Any, tmp_path: Path) -> None:
    """Where the browser does not give the microphone, the page says where to allow it, and tries again."""
    kit = make_kit(tmp_path / "kit", sentences=1)
    started = driver.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--use-fake-device-for-media-stream", "--deny-permission-prompts"],
    )
    with serving(kit) as server:
        page = started.new_context().new_page()
        page.goto(server.link())
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Begin").click()
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Use the microphone").click()
        page.get_by_role("alert").filter(has_text="does not let this page use the microphone").wait_for()
        page.get_by_role("button", name="Try again").wait_for()
    started.close()


def test_right_to_left_sentences(browser: Any, tmp_path: Path) -> None:
    """A kit in Arabic shows its sentences from right to left, and says what language they are in."""
    kit = make_kit(tmp_path / "kit", sentences=1, language="ar")
    with serving(kit) as server:
        page = browser.new_context().new_page()
        page.goto(server.link())
        agree(page)
        assert "rtl" == page.locator("#prompt").evaluate("element => getComputedStyle(element).direction")
        assert "ar" == page.locator("#prompt").get_attribute("lang")
        page.context.close()


def test_a_server_that_comes_back_is_found_again(browser: Any, tmp_path: Path) -> None:
    """A take that could not be sent is kept by the page, and saved once the same kit is served again."""
    kit = make_kit(tmp_path / "kit", sentences=1)
    with serving(kit) as first:
        page = browser.new_context().new_page()
        page.goto(first.link())
        agree(page)
        port, secret = first.port, first.door.secret
        page.route(re.compile("/api/"), lambda route: route.abort())
        page.locator("#record").click()
        page.wait_for_timeout(1000)
        page.locator("#record").click()
        page.get_by_role("alert").filter(has_text="asrfair does not answer").wait_for(timeout=60_000)
        page.unroute(re.compile("/api/"))
        assert (port, secret) == (first.port, first.door.secret)
        page.get_by_role("button", name="Save again").click()
        page.get_by_role("status").filter(has_text="Saved.").wait_for(timeout=60_000)
        page.context.close()
    assert (kit.recordings / "speaker-01" / "01.wav").is_file()
