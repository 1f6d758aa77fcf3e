"""Turn the tree of a flow file into a FlowSpec, or into every problem in it. Knows the format, not whether the flow can run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowkit.keys import TABLES
from flowkit.parser import files
from flowkit.parser.data import data, fits, infer
from flowkit.parser.fields import Types
from flowkit.parser.models import defaults, limits, models
from flowkit.parser.names import field_name
from flowkit.parser.reading import Found, Reading, entries, is_mapping, is_secret, own
from flowkit.parser.shapes import is_empty, shown
from flowkit.parser.steps import steps
from flowkit.parser.texts import named
from flowkit.parser.values import BAD, finite, value_of
from flowkit.source import Document, Mapping, Node, Scalar
from flowkit.spec import DefaultsSpec, Expr, FlowSpec, LimitsSpec, Literal_, MapOf, ValueSpec
from flowkit.spelling import nearest
from flowkit.types.algebra import ANY, Record, Type

if TYPE_CHECKING:
    from flowkit.errors import Problems
    from flowkit.project import Project

_FLOW, _VALUE = TABLES["flow"], TABLES["value"]

#: Gives the object behind `pkg.mod:name` for the file that names it; raises LoadFailed.
LoadObject = Callable[[str, Path], object]


def parse(
    document: Document,
    project: Project,
    path: Path,
    problems: Problems,
    load_object: LoadObject | None = None,
    named: dict[Path, None] | None = None,
) -> FlowSpec | None:
    """Read a flow file; every mistake is added to `problems`, and None is returned only when it is no flow at all.

    What stands under a key that is wrong is missing in the result. Classes under `types` are `any` without `load_object`. Files that it
    reads besides are added to `named`.
    """
    r = Reading(document.file, project, problems, load_object, document.complete, named={} if named is None else named)
    try:
        return _flow(r, document.root, path)
    finally:
        r.hide_secrets()


def _flow(r: Reading, root: Node | None, path: Path) -> FlowSpec | None:
    if root is None:
        return None
    if not isinstance(root, Mapping):
        r.error("not-a-flow", root.place(), f"a flow is a mapping that begins with 'flowkit: 1', not {shown(root)}")
        return None
    if not any(nearest(name, _FLOW.names()) for name in root.named):
        r.error("not-a-flow", root.place(), "this is no flow: it has none of the keys of a flow", "a flow begins with 'flowkit: 1'")
        return None
    found = entries(r, root, _FLOW, "the flow")
    _version(r, found.get("flowkit"))
    types = Types(r, _section(r, found, "types"))
    types.define_all()
    inputs, input_keys = _inputs(r, _section(r, found, "inputs"), types)
    return FlowSpec(
        path=path,
        shown=r.file.shown,
        root=r.project.root,
        node=root,
        name=_word(r, found.get("name"), "name") or path.name.removesuffix(".yaml").removesuffix(".flow"),
        description=_word(r, found.get("description"), "description") or "",
        types=types.done,
        type_keys={name: key for name, (key, _) in types.entries.items()},
        values=_values(r, _section(r, found, "values"), types),
        inputs=inputs,
        input_keys=input_keys,
        models=models(r, found["models"].value) if "models" in found else {},
        defaults=defaults(r, found["defaults"].value) if "defaults" in found else DefaultsSpec(),
        limits=limits(r, found["limits"].value) if "limits" in found else LimitsSpec(),
        steps=steps(r, found["steps"].value, types) if "steps" in found else {},
        outputs=_outputs(r, found.get("outputs")),
        tests=_tests(r, found.get("tests")),
        used_types=frozenset(types.used),
    )


def _section(r: Reading, found: dict[str, Found], name: str) -> Mapping | None:
    return is_mapping(r, found[name].value, f"{name!r}") if name in found else None


def _version(r: Reading, found: Found | None) -> None:
    if found is None or (
        isinstance(found.value, Scalar) and found.value.value == 1 and found.value.text == "1" and found.value.style == "plain"
    ):
        return
    hint = "write flowkit: 1"
    if isinstance(found.value, Scalar) and isinstance(found.value.value, int) and found.value.value > 1:
        hint = "a newer flowkit may know it; this one reads format 1"
    r.error("unknown-format", found.value.place(), f"the format of the file is 1, not {shown(found.value)}", hint)


def _word(r: Reading, found: Found | None, name: str) -> str | None:
    if found is None:
        return None
    value = value_of(r, _FLOW[name].shape, found.value, f"{name!r}")
    return None if value is BAD else str(value)


def _inputs(r: Reading, node: Mapping | None, types: Types) -> tuple[Record, dict[str, Scalar]]:
    if node is None:
        return Record(()), {}
    return types.record(node, "'inputs'", empty=True), {key.text.removesuffix("?"): key for key, _ in own(node)}


def _outputs(r: Reading, found: Found | None) -> Expr | None:
    if found is None:
        return None
    read = named(r, found.value, found.written, "'outputs'")
    if isinstance(read, MapOf):
        for key in read.keys.values():
            field_name(r, key, "an output")
    elif isinstance(read, Literal_):
        r.error("wrong-type", found.value.place(), f"'outputs' must be expressions by name, or one expression, not {shown(found.value)}")
        return None
    return read


def _tests(r: Reading, found: Found | None) -> Node | None:
    if found is None:
        return None
    if isinstance(found.value, Scalar):
        r.error("wrong-type", found.value.place(), f"'tests' must be a list of tests, not {shown(found.value)}")
        return None
    return found.value


# -- values ------------------------------------------------------------------------------------------------


def _values(r: Reading, node: Mapping | None, types: Types) -> dict[str, ValueSpec]:
    read = {}
    for key, value in own(node) if node else ():
        field_name(r, key, "a value")
        if is_secret(r, key, value, "'values'"):
            read[key.text] = ValueSpec(key.text, key, ANY, None)
            continue
        type_, constant = _value(r, value, types, f"the value {key.text!r}")
        read[key.text] = ValueSpec(key.text, key, type_, constant)
    return read


def _value(r: Reading, node: Node, types: Types, what: str) -> tuple[Type, Any]:
    """Return type and data of a constant; `any` and None where that has been reported."""
    if not isinstance(node, Mapping) or not _long(node):
        if is_empty(node):
            r.error("empty-value", node.place(), f"{what} is empty", "write null if absence is meant")
            return ANY, None
        constant = finite(r, node, what)
        return (ANY, None) if constant is BAD else (infer(constant), constant)
    found = entries(r, node, _VALUE, what)
    declared = types.output(found["type"].value, what) if "type" in found else None
    if "value" in found and "file" in found:
        r.error("too-many-keys", found["file"].place, f"{what} has 'value' and 'file'", "delete one of them")
    if "value" in found:
        constant = data(r, declared or ANY, found["value"].value, what, "invalid-value")
    elif "file" in found:
        constant = _from_file(r, found["file"].value, declared or ANY, what)
    else:
        return declared or ANY, None
    if constant is BAD:
        return declared or ANY, None
    return declared or infer(constant), constant


def _long(node: Mapping) -> bool:
    """Whether a mapping says how a constant is written, and is not the constant itself."""
    names = {key.text for key, _ in own(node)}
    if names & {"value", "file"}:
        return names <= set(_VALUE.names())
    others = names - {"type"}
    # Two keys of which one is `type` and the other nearly one of ours: a slip.
    return "type" in names and len(others) == 1 and nearest(next(iter(others)), ("value", "file")) is not None


def _from_file(r: Reading, node: Node, type_: Type, what: str) -> Any:
    name = node if value_of(r, _VALUE["file"].shape, node, f"'file' of {what}") is not BAD else None
    if not isinstance(name, Scalar):
        return BAD
    path = files.find(r, name)
    if path is None:
        return BAD
    match path.suffix.lower():
        case ".json":
            value = files.json_value(r, name, path)
            return value if value is BAD or fits(r, type_, value, what, "invalid-value", lambda _: name.place()) else BAD
        case ".jsonl":
            return _rows(r, name, path, type_, what)
        case ".yaml" | ".yml":
            document = files.tree(r, name, path)
            return data(r, type_, document.root, what, "invalid-value") if document and document.root is not None else BAD
        case ".txt" | ".md":
            text = files.text(r, name, path)
            if text is None:
                return BAD
            text = text.removesuffix("\n")
            return text if fits(r, type_, text, what, "invalid-value", lambda _: name.place()) else BAD
    r.error(
        "wrong-type",
        name.place(),
        f"{name.text!r} is no kind of file that a value is read from",
        "name a .json, .jsonl, .yaml or .txt file",
    )
    return BAD


def _rows(r: Reading, name: Scalar, path: Path, type_: Type, what: str) -> Any:
    rows = files.rows(r, name, path)
    if rows is None:
        return BAD
    places = [place for place, _ in rows]
    values = [value for _, value in rows]
    right = fits(
        r,
        type_,
        values,
        what,
        "invalid-value",
        lambda error: places[error.loc[0]] if error.loc and isinstance(error.loc[0], int) else name.place(),
    )
    return values if right else BAD
