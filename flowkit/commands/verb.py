"""What all verbs look like: a click command whose help begins with examples."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import click


class Verb(click.Command):
    """A command; `examples` are pairs of a command line and what it is for."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **others: Any) -> None:
        # click keeps the first help option that it makes, also one that was made without the settings of the group above.
        super().__init__(*args, **others)
        self.context_settings = {"help_option_names": ["-h", "--help"]}
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, examples, usage and options, in this order."""
        first, _, rest = inspect.cleandoc(self.help or "").partition("\n\n")
        formatter.write_text(first)
        with formatter.section("Examples"):
            for line, purpose in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n{'':>{formatter.current_indent}}    {purpose}\n")
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        if rest:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(rest)
        self.format_options(ctx, formatter)


class Verbs(Verb, click.Group):
    """A command that has commands of its own."""
