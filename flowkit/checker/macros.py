"""Match the arguments of a call with those of a macro. Knows nothing of the macro's body."""

from __future__ import annotations

from jinja2 import nodes

from flowkit.checker.inference import Inference
from flowkit.checker.kinds import Facts, Kind
from flowkit.checker.scope import Scope, did_you_mean
from flowkit.checker.tree import key_of, keyword_at, spelled, start_of
from flowkit.types.algebra import ANY


def given_to(
    of: Inference, node: nodes.Call, definition: nodes.Macro | nodes.CallBlock, scope: Scope, facts: Facts
) -> dict[str, tuple[Kind, str | None]] | None:
    """Return what each argument of a macro gets, and the key of that value; None where that cannot be told."""
    names = [a.name for a in definition.args]
    given: dict[str, tuple[Kind, str | None]] = {}
    for at, arg in enumerate(node.args):
        kind = of.infer(arg, scope, facts)
        if at < len(names):
            given[names[at]] = (kind, key_of(arg, scope))
        elif not _takes(definition, "varargs"):
            of.reports.error(
                "macro-call", start_of(arg), 1, f"macro {_name(definition)!r} takes {len(names)} arguments, not {len(node.args)}"
            )
            return None
    misspelt = False
    for keyword in node.kwargs:
        kind = of.infer(keyword.value, scope, facts)
        if keyword.key in given:
            of.reports.error(
                "macro-call",
                keyword_at(of.reports.site.text, keyword),
                len(keyword.key),
                f"argument {keyword.key!r} of macro {_name(definition)!r} is given twice",
            )
        elif keyword.key in names:
            given[keyword.key] = (kind, key_of(keyword.value, scope))
        elif not _takes(definition, "kwargs"):
            misspelt = True
            of.reports.error(
                "macro-call",
                keyword_at(of.reports.site.text, keyword),
                len(keyword.key),
                f"macro {_name(definition)!r} has no argument {keyword.key!r}",
                did_you_mean(keyword.key, names, "its arguments are"),
            )
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return None
    required = names[: len(names) - len(definition.defaults)]
    missing = [n for n in required if n not in given]
    if missing and misspelt:  # one of them is the misspelt one, which was reported
        given |= dict.fromkeys(missing, (ANY, None))
    elif missing:
        of.reports.error(
            "macro-call", start_of(node), len(spelled(node.node)), f"macro {_name(definition)!r} needs {', '.join(map(repr, missing))}"
        )
        given |= dict.fromkeys(missing, (ANY, None))
    return given


def _name(definition: nodes.Macro | nodes.CallBlock) -> str:
    return getattr(definition, "name", "caller")


def _takes(definition: nodes.Macro | nodes.CallBlock, name: str) -> bool:
    """Tell whether a macro takes more arguments than it names: Jinja gives it `varargs` or `kwargs` when it reads them."""
    return any(n.name == name for child in definition.body for n in [child, *child.find_all(nodes.Name)] if isinstance(n, nodes.Name))
