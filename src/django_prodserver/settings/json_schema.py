"""The settings as a JSON Schema, for whatever checks JSON, YAML or TOML: editors, CI.

https://json-schema.org/draft/2020-12/json-schema-core

It is made of the specs, and as strict as they are where a schema has words for it. It can neither
compare values (whom AFTER names, INITIAL above MAX) nor import what they name, as `--check` does.
"""

from __future__ import annotations

import ast
import inspect
from typing import Annotated, Any

import msgspec

from . import schema
from .load import NAME, PROCESSES, SUPERVISOR
from .schema import (
    FOR_SERVICES,
    PROBES,
    Backoff,
    HealthCheck,
    ProcessSettings,
    StartLimit,
    SupervisorSettings,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

STRUCTS = (ProcessSettings, StartLimit, Backoff, HealthCheck, SupervisorSettings)

_ONESHOT = {"properties": {"TYPE": {"const": "oneshot"}}, "required": ["TYPE"]}

# The rules about several keys of a mapping, as `conf` has them.
_RULES: dict[str, dict[str, Any]] = {
    ProcessSettings.__name__: {
        "if": _ONESHOT,
        "then": {
            "properties": {
                "RESTART": {"not": {"const": "always"}},
                **{key: {"type": "null"} for key in FOR_SERVICES},
            }
        },
    },
    Backoff.__name__: {
        "if": {"not": {"required": ["INITIAL", "MAX"]}},
        "then": {
            "properties": {
                "INITIAL": {"maximum": Backoff().max},
                "MAX": {"minimum": Backoff().initial},
            }
        },
    },
    HealthCheck.__name__: {
        "oneOf": [
            {"required": [probe], "properties": {probe: {"not": {"type": "null"}}}}
            for probe in PROBES
        ]
    },
}


def document() -> dict[str, Any]:
    """A schema of an object with both settings."""
    processes = Annotated[
        dict[str, ProcessSettings],
        msgspec.Meta(
            min_length=1,
            description="The processes by their names, in the order of their start.",
            extra_json_schema={
                # Python's $ is content before a newline at the end.
                "propertyNames": {"pattern": f"^{NAME.pattern}$", "not": {"pattern": r"\n"}}
            },
        ),
    ]
    (of_processes, of_supervisor), structs = msgspec.json.schema_components(
        (processes, SupervisorSettings), ref_template="#/$defs/{name}"
    )
    for struct in STRUCTS:
        made = structs[struct.__name__]
        for key, sentence in meanings(struct).items():
            made["properties"][key]["description"] = sentence
        made.update(_RULES.get(struct.__name__, {}))
    return {
        "$schema": DIALECT,
        "title": "The settings of django-prodserver",
        "type": "object",
        "properties": {PROCESSES: of_processes, SUPERVISOR: of_supervisor},
        "required": [PROCESSES],
        "additionalProperties": False,
        "$defs": structs,
    }


def render() -> str:
    return msgspec.json.format(msgspec.json.encode(document())).decode()


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What the keys of a struct mean: the text below each field in its source.

    Nothing where only compiled files are installed: a schema without words is one, too.
    """
    try:
        module = ast.parse(inspect.getsource(schema))
    except OSError:
        return {}
    (body,) = [
        node.body
        for node in module.body
        if isinstance(node, ast.ClassDef) and node.name == struct.__name__
    ]
    return {
        field.target.id.upper(): " ".join(below.value.value.split())
        for field, below in zip(body, body[1:])
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
