"""`flowkit completion`: print the script that lets a shell complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from flowkit.commands import screen
from flowkit.commands.verb import Verb

_EXAMPLES = (
    ('eval "$(flowkit completion bash)"', "bash: this shell; for all, put the line into ~/.bashrc"),
    ('eval "$(flowkit completion zsh)"', "zsh: the same, with ~/.zshrc"),
    ("flowkit completion fish > ~/.config/fish/completions/flowkit.fish", "fish: all shells"),
)


@click.command(cls=Verb, examples=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that lets a shell complete commands."""
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    made = found(root, {}, "flowkit", "_FLOWKIT_COMPLETE")
    # Not `source()`: click would start bash there, to ask for its version.
    screen.out(made.source_template % made.source_vars() + "\n")
    return 0
