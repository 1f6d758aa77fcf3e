"""The entry: find the verb, run it, and turn every error into a message and an exit code. Knows no verb's business."""

from __future__ import annotations

import errno
import keyword
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

import click

from flowkit import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: What each verb does. Its module is imported when the verb is used, so that `flowkit --help` pays for none of them.
VERBS: Final = {
    "init": "Start a project with a flow that runs at once.",
    "check": "Find the mistakes in flow files; nothing is called.",
    "fmt": "Lay out flow files in one way; what they say stays.",
    "import": "Turn prompts of other tools into flows.",
    "run": "Run a flow and print its outputs.",
    "batch": "Run a flow over the rows of a file.",
    "plan": "Say which calls a run would make, and what they cost at most; nothing is called.",
    "resume": "Go on with a run that did not reach its end.",
    "runs": "List, show, compare, export and delete recorded runs.",
    "why": "Say why calls were made and not taken from the record; nothing is called.",
    "test": "Run the tests of flows.",
    "bisect": "Find the commit that broke a case of a test.",
    "diff": "Say what changed in what flows mean, and what models are told now; nothing is called.",
    "log": "List the commits that changed what a flow means, and how their runs went.",
    "lock": "Write down what models lead to and which answered, or check it.",
    "render": "Show the exact messages that a step would send; nothing is called.",
    "graph": "Draw the steps of a flow.",
    "models": "Show where models lead, and whether their servers answer.",
    "doctor": "Show versions, configuration, keys and servers.",
    "schema": "Print the JSON Schema of flow files, for editors.",
    "completion": "Print the script that lets a shell complete commands.",
}

EXAMPLES: Final = (
    ("flowkit init hello", "start a project"),
    ("flowkit run hello/flows/hello.flow.yaml -i name=Ada --simulate", "run a flow; no model is asked"),
    ("flowkit check", "check all flows below this folder"),
    ("flowkit runs show", "see what the last run sent and got"),
    ("flowkit diff", "see what a change means to the model"),
)

#: The shell's own codes for a process that was interrupted, and for one whose reader went away.
INTERRUPTED: Final = 130
READER_GONE: Final = 141
BUG: Final = 70

#: What a full or broken disk says to whoever writes to stdout.
_WRITE_ERRORS: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG})


class Flowkit(click.Group):
    """The group of all verbs, which imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which the help shows them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command behind a verb."""
        if cmd_name not in VERBS:
            return None
        # `import` is a word of Python's own, so that no module can be called that.
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"flowkit.commands.{module}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; of an unknown one say which is near."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from flowkit.spelling import did_you_mean  # a mistake alone needs it

            hint = did_you_mean(args[0], VERBS) or f"there are: {', '.join(VERBS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples first, then the verbs by their one line."""
        formatter.write_text("flowkit: prompts in git. One YAML file is a flow, checked whole before the first paid call.")
        with formatter.section("Examples"):
            formatter.write_dl(EXAMPLES)
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))
        self.format_options(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("`flowkit COMMAND --help` shows the options of one command, with examples.")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options alone: the verbs stand above them."""
        click.Command.format_options(self, ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs from the table."""
        from click.shell_completion import CompletionItem  # a shell alone asks

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=said) for name, said in VERBS.items() if name.startswith(incomplete)]

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run one command line and leave with its exit code."""
        extra.pop("standalone_mode", None)
        sys.exit(self._code(args, prog_name or "flowkit", extra))

    def _code(self, args: Sequence[str] | None, prog_name: str, extra: dict[str, Any]) -> int:
        stdout = sys.stdout
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            return INTERRUPTED
        except click.ClickException as error:
            return _usage(error)
        except BrokenPipeError:
            _drop()
            return READER_GONE
        except SystemExit as left:
            if sys.stdout is not stdout:  # how click leaves when the reader of its help went away
                return READER_GONE
            return left.code if isinstance(left.code, int) else 0
        except Exception as error:  # noqa: BLE001 - the one place where anything may arrive
            return _told(error)
        return code if isinstance(code, int) else 0


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return error.exit_code
    context = getattr(error, "ctx", None)
    message = error.message if isinstance(error, click.exceptions.NoSuchOption) else error.format_message()
    message = f"{message[:1].lower()}{message[1:].removesuffix('.')}"
    if isinstance(error, click.exceptions.NoSuchOption):
        from flowkit.spelling import did_you_mean  # a mistake alone needs it

        options = context.command.get_params(context) if isinstance(context, click.Context) else []
        hint = did_you_mean(error.option_name, [name for option in options for name in option.opts if name.startswith("--")])
        message = f"{message}; {hint}" if hint else message
    _say(f"error: {message}")
    if isinstance(context, click.Context):
        _say(f"   hint: {context.command_path} --help")
    return error.exit_code


def _drop() -> None:
    """Forget what could not be written, so that Python does not try it again when it ends."""
    with suppress(OSError):  # stdout may be no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    """Write a line to stderr if anybody is there to read it."""
    with suppress(OSError):
        click.echo(text, err=True)


def _told(error: Exception) -> int:
    """Say what went wrong, and return the exit code."""
    from flowkit import printable
    from flowkit.commands import screen
    from flowkit.errors import FlowError, FlowkitError  # dataclasses are slow to import, and most help needs none

    if isinstance(error, FlowError):
        from flowkit.console import problems

        _say(problems.text(error.problems, files=0, color=screen.color(sys.stderr), columns=screen.columns()).rstrip("\n"))
        return error.exit_code
    if isinstance(error, FlowkitError):
        if error.exit_code != READER_GONE:
            screen.complain(printable.block(str(error)))
        return error.exit_code
    if isinstance(error, OSError) and error.errno in _WRITE_ERRORS:
        _drop()
        _say(f"error: stdout: {error.strerror}")
        return 1
    if os.environ.get("FLOWKIT_TRACEBACK") == "1":
        import traceback  # a bug alone needs it

        _say("".join(traceback.format_exception(error)))
    _say(
        f"error: this is a bug in flowkit {__version__}: {type(error).__name__}: {printable.block(str(error))}\n"
        "   hint: please report it, with what the same command says under FLOWKIT_TRACEBACK=1 and with the output of `flowkit doctor`"
    )
    return BUG


_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command("flowkit", cls=Flowkit, context_settings=_SETTINGS, no_args_is_help=True)
@click.version_option(__version__, message="flowkit %(version)s")
def cli() -> None:
    """Prompts in git: one YAML file is a flow, checked whole before the first paid call."""


def _nothing(flags: int, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8"))


def main() -> NoReturn:
    """Run the command line of this process."""
    # A stream that was closed (`>&-`) is like /dev/null; its number must not go to a socket.
    sys.stdin = sys.stdin or _nothing(os.O_RDONLY, "r")
    sys.stdout = sys.stdout or _nothing(os.O_WRONLY, "w")
    sys.stderr = sys.stderr or _nothing(os.O_WRONLY, "w")
    cli.main()
