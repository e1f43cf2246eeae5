"""The command `gloria`.

In: the arguments of a command line. Out: an exit code (0 fine, 1 something was
refused, 2 wrong usage), results on stdout, everything else on stderr. It exists
as a thin layer: each command opens what it needs, calls one function of the
library and prints. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from api.commands import doctor, judging, learning, ledger, mail, matching, people, portfolio, reach, records, service
from api.commands.handouts import dossier
from api.commands.imports import drafting
from api.commands.joint import diagnosing
from api.commands.mending import mended_records as mending
from api.commands.refusals import refusal
from api.commands.screen import Screen, write_document
from api.nightly import command as nightly_command
from indexer.wording import Language, Text, recognised, said

OWNERS_ONLY = 0o077
"""What is taken from the rights of every file and folder that a command makes: all that is not its owner's."""


class _LanguageAnywhere(TyperGroup):
    """Takes `--lang` behind the command's name too, where people write it."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Move `--lang` and its value to the front."""
        moved: list[str] = []
        rest = list(args)
        for i, argument in enumerate(args):
            if argument == "--":
                break
            if argument == "--lang":
                moved, rest = args[i : i + 2], args[:i] + args[i + 2 :]
            elif argument.startswith("--lang="):
                moved, rest = [argument], args[:i] + args[i + 1 :]
        return super().parse_args(ctx, moved + rest)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Let a wrong `--lang` itself be told of in the language that is chosen otherwise."""
        with _told():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; what is wrong with its arguments is told in the chosen language."""
        with _told():
            return super().invoke(ctx)


class _WrongUsageError(typer.BadParameter):
    """Wrong usage, said as a whole: the framework's own words around the reason are translated with it."""

    def format_message(self) -> str:
        """Return the message alone."""
        return self.message


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        message = recognised(error.format_message()) if hasattr(error, "format_message") else ""
        if not isinstance(message, Text):
            raise
        told = said(message, chosen_language(sys.argv[1:], os.environ))
        raise _WrongUsageError(told, ctx=getattr(error, "ctx", None)) from error


def chosen_language(arguments: Sequence[str], environment: Mapping[str, str]) -> Language:
    """Return the language of a command that ended before, or because of, its arguments."""
    given = environment.get("GLORIA_LANG", "")
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--":
            break
        if argument == "--lang":
            given = following
        elif argument.startswith("--lang="):
            given = argument.removeprefix("--lang=")
    return Language.EN if given == Language.EN else Language.ZH


app = typer.Typer(
    cls=_LanguageAnywhere,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def gloria(
    context: typer.Context,
    lang: Annotated[
        Language, typer.Option(envvar="GLORIA_LANG", help="Language of headings and explanations.")
    ] = Language.ZH,
) -> None:
    """Rank and explain pairings of university labs and company needs, offline, in Chinese and English.

    State lives in one folder, GLORIA_HOME (default: gloria-data).
    """
    context.obj = lang


app.command("demo")(records.show_demo)
app.command("import")(records.import_records)
app.command("export")(records.export)
app.command("draft")(drafting.draft)
app.command("reindex")(matching.rebuild)
app.command("map")(matching.redraw)
app.command("match")(matching.match)
app.command("portfolio")(portfolio.portfolio)
app.command("reach")(reach.reach)
app.command("diagnose")(diagnosing.diagnose)
app.command("run")(matching.run)
app.command("evaluate")(matching.evaluate)
app.command("learn")(learning.learn)
app.command("synth")(records.synthesise)
app.command("doctor")(doctor.examine)
app.command("nightly")(nightly_command.nightly)
app.command("serve")(service.serve)
people.user.command("show")(people.show)
people.user.command("key")(people.key)
people.user.command("password")(people.password)
people.user.command("reset")(people.reset)
app.command("backup")(service.backup)
app.command("restore")(service.restore)
app.command("erase")(people.forget)
app.command("retire")(mending.retire_record)
app.add_typer(mending.school, name="school")
app.command("duplicates")(mending.list_duplicates)
app.command("merge")(mending.merge_records)
app.command("report")(ledger.report)
app.command("dossier")(dossier.dossier)
ledger.ledger.command("configure")(ledger.configure)
ledger.ledger.command("demo")(ledger.load_demo)
app.add_typer(judging.judge, name="judge")
app.add_typer(ledger.ledger, name="ledger")
app.add_typer(people.user, name="user")
app.add_typer(ledger.audit, name="audit")
app.add_typer(mail.mail, name="mail")


def main() -> None:
    """Run the command line; a refused input is one line on stderr, never a traceback."""
    # Records, names and needs in confidence lie in what any command writes: nobody else of the machine reads them.
    os.umask(OWNERS_ONLY)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_a_character(stream)
    try:
        app()
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        Screen(chosen_language(sys.argv[1:], os.environ)).complain(told.message)
        if "--json" in sys.argv:
            write_document({"error": told.message})
        raise SystemExit(told.exit_code) from None


def _never_fail_on_a_character(stream: TextIO) -> None:
    """Let a terminal that can't show a character show its code instead."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
