"""Turn the tables of keys into the JSON Schema of the flow file, for editors. Knows no file."""

from __future__ import annotations

from typing import Any

from flowkit.keys import TABLES, Key, Shape, Table
from flowkit.keys.step import MAKERS

_DURATION = r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$"
_ID = "^[a-z][a-z0-9_]{0,63}$"
_NAME = "^[^\\W\\d]\\w*$"
_OWN = "^x-"

Schema = dict[str, Any]


def schema() -> Schema:
    """Return the JSON Schema (2020-12) of a flow file: each key with its doc, each mapping closed but for `x-` keys."""
    flow = _table(TABLES["flow"])
    flow["properties"]["steps"]["propertyNames"] = {"anyOf": [{"pattern": _ID}, {"pattern": _OWN}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flowkit flow, format 1",
        **flow,
        "$defs": {
            "expression": {
                "description": "A bare Jinja expression, without braces; a number, boolean, null, list or mapping is itself.",
                "anyOf": [
                    {"type": "string", "minLength": 1, "not": {"pattern": r"^\s*\$?\{\{"}},
                    {"type": ["number", "boolean", "null"]},
                    {"type": "array", "items": {"$ref": "#/$defs/expression"}},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/expression"}},
                ],
            },
            "fields": {
                "description": "A record: its fields by name; a name with ? is optional.",
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/field_type"},
                "propertyNames": {"anyOf": [{"pattern": r"^[^\W\d]\w*\??$"}, {"pattern": _OWN}]},
                "patternProperties": {_OWN: True},
            },
            "field_type": {
                "anyOf": [
                    {"type": "string", "minLength": 1, "description": "A type; a description may follow a comma."},
                    {"$ref": "#/$defs/field"},
                    {"$ref": "#/$defs/fields"},
                ],
            },
            **{name: _table(table) for name, table in TABLES.items() if name != "flow"},
        },
    }


def _table(table: Table) -> Schema:
    found: Schema = {
        "type": "object",
        "description": table.doc,
        "properties": {key.name: _key(key, null=table.name == "params") for key in table.keys},
        "patternProperties": {_OWN: True},
        "additionalProperties": False,
    }
    required = [key.name for key in table.keys if key.required]
    if required:
        found["required"] = required
    if table.single:
        found["oneOf"] = [{"required": [name]} for name in table.names()]
    if table.name == "step":
        found["oneOf"] = [{"required": [name]} for name in MAKERS]
        found["allOf"] = _rules()
    return found


def _rules() -> list[Schema]:
    """Say which keys of a step mean nothing without others."""
    rules: list[Schema] = []
    for key in TABLES["step"].keys:
        if key.kinds and key.name not in MAKERS:
            makers = [maker for maker, kind in MAKERS.items() if kind in key.kinds]
            rules.append({"if": {"required": [key.name]}, "then": {"anyOf": [{"required": [maker]} for maker in makers]}})
    rules.append({"if": {"required": ["system"]}, "then": {"required": ["prompt"]}})
    rules.append({"if": {"required": ["as"]}, "then": {"required": ["foreach"]}})
    rules.append({"if": {"required": ["pick"]}, "then": {"required": ["samples"]}})
    return rules


def _key(key: Key, *, null: bool) -> Schema:
    shape = _shape(key.shape)
    if null:  # takes away what a default says
        shape = {"anyOf": [shape, {"type": "null"}]}
    # Beside `$ref`, so that editors show the doc of the key and not that of the mapping.
    found: Schema = {"description": key.doc, **shape} if "description" not in shape else {**shape, "description": key.doc}
    if key.example:
        found["markdownDescription"] = f"{key.doc}\n\n```yaml\n{key.example}\n```"
    return found


def _shape(shape: Shape) -> Schema:
    match shape.kind:
        case "any":
            return {}
        case "word":
            return {"type": "string"} if shape.min == 0 else {"type": "string", "minLength": 1}
        case "path" | "type":
            return {"type": "string", "minLength": 1}
        case "text":
            return {"type": "string", "pattern": r"\S"}
        case "name":
            return {"type": "string", "pattern": _NAME}
        case "expression":
            return {"$ref": "#/$defs/expression"}
        case "duration":
            return {"anyOf": [{"type": "string", "pattern": _DURATION}, {"type": "number", "exclusiveMinimum": 0}]}
        case "boolean":
            return {"type": "boolean"}
        case "integer" | "number":
            return _number(shape)
        case "words":
            return {"const": 1} if shape.of_words == ("1",) else {"enum": list(shape.of_words)}
        case "table":
            return {"$ref": f"#/$defs/{shape.ref}"}
        case "fields":
            return {"$ref": "#/$defs/fields"}
        case "list":
            return _list(shape)
        case "map":
            return {"type": "object", "additionalProperties": _shape(shape.of[0]), "patternProperties": {_OWN: True}}
    return {"anyOf": [_shape(each) for each in shape.of]}


def _number(shape: Shape) -> Schema:
    found: Schema = {"type": shape.kind}
    if shape.min is not None:
        found["exclusiveMinimum" if shape.above else "minimum"] = shape.min
    if shape.max is not None:
        found["maximum"] = shape.max
    return found


def _list(shape: Shape) -> Schema:
    found: Schema = {"type": "array", "items": _shape(shape.of[0])}
    if shape.min:
        found["minItems"] = int(shape.min)
    if shape.max is not None:
        found["maxItems"] = int(shape.max)
    return found
