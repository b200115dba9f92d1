"""The settings as a JSON Schema, for editors and for validators of JSON, YAML or TOML.

https://json-schema.org/draft/2020-12/json-schema-core

It accepts everything that the settings accept. It rejects wrong keys, types and choices, and most
malformed strings; `prodserver --check` finds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from .names import PROCESS_NAME, PROCESSES, SERVERLESS, SUPERVISOR
from .rules import OF_INSTANCES
from .schema import (
    FOR_SERVICES,
    OF_BACKENDS,
    PROBES,
    READY_KEYS,
    AutoscaleSettings,
    Backoff,
    HealthCheckSettings,
    ProcessSettings,
    ReadySettings,
    ServerlessSettings,
    StartLimit,
    SupervisorSettings,
)
from .texts import DURATION, SIZE

DIALECT = "https://json-schema.org/draft/2020-12/schema"

STRUCTS: tuple[type[msgspec.Struct], ...] = (
    ProcessSettings,
    StartLimit,
    AutoscaleSettings,
    Backoff,
    ReadySettings,
    HealthCheckSettings,
    SupervisorSettings,
    ServerlessSettings,
)


def _exactly_one(keys: Iterable[str]) -> dict[str, Any]:
    return {
        "oneOf": [
            {"required": [key], "properties": {key: {"not": {"type": "null"}}}} for key in keys
        ]
    }


_ONESHOTS = [name for name, fields in OF_BACKENDS.items() if fields.get("type") == "oneshot"]
_ONESHOT = {
    "anyOf": [
        {"properties": {"TYPE": {"const": "oneshot"}}, "required": ["TYPE"]},
        {
            "properties": {"BACKEND": {"enum": _ONESHOTS}},
            "required": ["BACKEND"],
            "not": {"required": ["TYPE"]},
        },
    ]
}


def _set(key: str) -> dict[str, Any]:
    return {"properties": {key: {"not": {"type": "null"}}}, "required": [key]}


def _with(**keys: Sequence[str]) -> dict[str, Any]:
    """A schema that matches if each of these keys has one of its words."""
    words = {key: {"enum": list(values)} for key, values in keys.items()}
    return {"properties": words, "required": list(keys)}


def _number_or(pattern: str, **number: str) -> dict[str, Any]:
    return {"anyOf": [number, {"type": "string", "pattern": f"^{pattern}$"}]}


_SINGLETON = {"properties": {"SINGLETON": {"const": True}}, "required": ["SINGLETON"]}

# Some of the rules in `rules`, by struct.
_RULES: dict[str, dict[str, Any]] = {
    ProcessSettings.__name__: {
        "if": _ONESHOT,
        "then": {
            "properties": {
                "RESTART": {"not": {"const": "always"}},
                **{key: {"type": "null"} for key in FOR_SERVICES},
            }
        },
        "else": {
            "properties": {
                "REFRESH": {"const": False},
                **{key: {"type": "null"} for key in ("LOCK", "SCHEDULE", "EVERY")},
            }
        },
        "allOf": [
            {
                "if": {"allOf": [_ONESHOT, {"not": {"anyOf": [_set("SCHEDULE"), _set("EVERY")]}}]},
                "then": {"properties": {"SINGLETON": {"const": False}}},
            },
            {
                "if": {"anyOf": [_set("SCHEDULE"), _set("EVERY")]},
                "then": {"properties": {"REFRESH": {"const": False}}},
            },
            {
                "if": _set("SCHEDULE"),
                "then": {"properties": {"EVERY": {"type": "null"}}},
            },
            {
                "if": _SINGLETON,
                "then": {
                    "properties": {
                        "AUTOSCALE": {"type": "null"},
                        "REPLICAS": {"const": 1},
                        "UPDATE_ORDER": {"not": {"const": "start-first"}},
                    }
                },
            },
        ],
    },
    AutoscaleSettings.__name__: {
        "allOf": [
            {
                "if": _with(METRIC=["memory"]),
                "then": {"properties": {"TARGET": _number_or(SIZE, type="integer")}},
            },
            {
                "if": _with(METRIC=["queue-age"]),
                "then": {"properties": {"TARGET": _number_or(DURATION, type="number")}},
            },
            {
                "if": {"not": _with(METRIC=["memory", "queue-age"])},
                "then": {"properties": {"TARGET": {"type": "number"}}},
            },
            {
                "if": _with(METRIC=list(OF_INSTANCES)),
                "then": {"properties": {"MIN": {"minimum": 1}}},
            },
        ]
    },
    ReadySettings.__name__: _exactly_one(READY_KEYS),
    HealthCheckSettings.__name__: _exactly_one(PROBES),
}


def document() -> dict[str, Any]:
    """The JSON Schema of an object with all settings."""
    processes = Annotated[
        dict[str, ProcessSettings],
        msgspec.Meta(
            min_length=1,
            description="The processes by their names, in the order of their start.",
            extra_json_schema={"propertyNames": {"pattern": f"^{PROCESS_NAME.pattern}$"}},
        ),
    ]
    (of_processes, of_supervisor, of_serverless), structs = msgspec.json.schema_components(
        (processes, SupervisorSettings, ServerlessSettings), ref_template="#/$defs/{name}"
    )
    for name, rule in _RULES.items():
        structs[name].update(rule)
    return {
        "$schema": DIALECT,
        "title": "The settings of django-prodserver",
        "type": "object",
        "properties": {
            PROCESSES: of_processes,
            SUPERVISOR: of_supervisor,
            SERVERLESS: of_serverless,
        },
        "required": [PROCESSES],
        "additionalProperties": False,
        "$defs": structs,
    }


def render() -> str:
    return msgspec.json.format(msgspec.json.encode(document())).decode()
