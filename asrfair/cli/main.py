"""``asrfair``: the table of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from asrfair.cli.streams import tolerate
from asrfair.data.tomlfile import did_you_mean
from asrfair.data.trust import name_code
from asrfair.errors import AsrfairError, printable
from asrfair.version import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("asrfair.cli.demo:demo", "Transcribe the synthetic demo corpus and report it."),
    "run": ("asrfair.cli.run:run", "A suite: from audio to tables and a report."),
    "plan": ("asrfair.cli.cost:plan", "What a suite costs before it is run: hours, requests, disk, memory, money."),
    "threshold": ("asrfair.cli.threshold:threshold", "How much noise each group can bear, in decibels."),
    "merge": ("asrfair.cli.merge:merge", "Join the parts of a run that was made in shards."),
    "score": ("asrfair.cli.score:score", "Transcripts to tables; score a run again. No audio needed."),
    "compare": ("asrfair.cli.compare:compare", "Two runs on the same speakers: who makes fewer errors, and for whom."),
    "nightly": ("asrfair.cli.nightly:nightly", "A suite every night: gates, what changed, a history, a verdict."),
    "report": ("asrfair.cli.report:report", "Write the report of a run: sentences, tables, plots, one HTML page."),
    "view": ("asrfair.cli.view:view", "Read runs in a browser with every utterance, on this machine only."),
    "open": ("asrfair.cli.view:open_report", "Open the report of a run in a browser."),
    "verify": (
        "asrfair.cli.verify:verify",
        "Is a run, a history or a kit still what was written? Checks every checksum.",
    ),
    "forget": (
        "asrfair.cli.forget:forget",
        "Somebody leaves: take them out of kits, runs and histories, and prove it.",
    ),
    "card": ("asrfair.cli.card:card", "A service card from runs: prose checked against them, small cells suppressed."),
    "engines": ("asrfair.cli.engines:engines", "List recognisers: installed, missing, and what installs them."),
    "bench": ("asrfair.cli.bench:bench", "How fast a recogniser is here, on generated audio."),
    "doctor": ("asrfair.cli.doctor:doctor", "Check this machine: versions, GPU, codecs, one second of audio."),
    "profile": ("asrfair.cli.profile:profile", "List, show, check, render the places that speech is put into."),
    "lastmile": ("asrfair.cli.lastmile:lastmile", "Measure a recogniser in your own room; pass on counts only."),
    "manifest": ("asrfair.cli.manifest:manifest", "Import, validate, describe a manifest; plan a collection."),
}
"""Name → (``module:attribute`` imported on use, help line)."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that ``asrfair --help`` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the names in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve, or say which command may have been meant."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"No such command {printable(args[0])!r}. {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Print the command table without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asrfair")
@click.option("--plain", is_flag=True, help="No colours and no lines but ASCII; NO_COLOR=1 does the same.")
@click.option(
    "--code",
    multiple=True,
    metavar="MODULE:CALLABLE",
    help="Let files name this code of yours (a normalizer, a metric); may be given several times.",
)
def app(*, plain: bool, code: tuple[str, ...]) -> None:
    """Measure for whom, and where, speech recognition fails.

    Exit codes: 0 done, 1 a gate failed, 2 bad input or usage, 3 an engine or the environment failed.
    """
    name_code(code)
    if plain:
        before = os.environ.get("NO_COLOR")
        os.environ["NO_COLOR"] = "1"
        click.get_current_context().call_on_close(lambda: _set_back("NO_COLOR", before))


def _set_back(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    tolerate()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code instead of leaving the process.

    Set ``ASRFAIR_TRACEBACK=1`` to see where an error came from.
    """
    try:
        result: Any = app.main(args=arguments, prog_name="asrfair", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted. Start the same command again to resume.", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("Interrupted. Start the same command again to resume.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except AsrfairError as error:
        if os.environ.get("ASRFAIR_TRACEBACK"):
            raise
        click.echo(f"asrfair: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except MemoryError:
        click.echo("asrfair: the machine ran out of memory. Use fewer workers or a smaller batch", err=True)
        return 3
    except OSError as error:
        if os.environ.get("ASRFAIR_TRACEBACK"):
            raise
        click.echo(
            f"asrfair: {printable(str(error), limit=500)}. Check the path, its permissions and the disk", err=True
        )
        return 3
    except Exception as error:
        if os.environ.get("ASRFAIR_TRACEBACK"):
            raise
        if type(error).__module__.partition(".")[0] == "pyarrow":
            click.echo(
                f"asrfair: a table cannot be read: {printable(str(error), limit=500)}. "
                "`asrfair verify` says which file is damaged",
                err=True,
            )
            return 2
        click.echo(
            f"asrfair: unexpected {type(error).__name__}: {printable(str(error), limit=500)}. "
            "This is a defect of asrfair: please report it, with the output of the same command under ASRFAIR_TRACEBACK=1",
            err=True,
        )
        return 3
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
