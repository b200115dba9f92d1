"""The JSON Schema accepts all that the settings accept, and refuses what an editor should mark.

It helps while typing; `--check` decides. Errors that only `--check` finds are listed as unseen,
each with its reason. jsonschema validates the settings here; it knows nothing about this package.
"""

from __future__ import annotations

import json
from typing import Any, Callable

import msgspec
import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from django_prodserver.settings import json_schema, load, schema, texts
from django_prodserver.settings.convert import plain
from django_prodserver.settings.names import PROCESSES, SUPERVISOR
from tests import corpus, test_conf, test_docs, test_schema
from tests.inside import BEAT, NOT_SET, configured, prodserver, refused, sleeper
from tests.running import Site

VALIDATOR = Draft202012Validator(json_schema.document())


def in_json(processes: Any, supervisor: Any = NOT_SET) -> Any:
    """Both settings, as they would be in a JSON file."""
    both = {PROCESSES: processes, SUPERVISOR: supervisor}
    given = {key: plain(value) for key, value in both.items() if value is not NOT_SET}
    return json.loads(json.dumps(given, default=str))


def fits(processes: Any, supervisor: Any = NOT_SET) -> bool:
    """Whether the schema accepts them."""
    return VALIDATOR.is_valid(in_json(processes, supervisor))


def loads(processes: Any, supervisor: Any = NOT_SET) -> bool:
    """Whether the loader accepts them; it imports nothing that they name."""
    with configured(processes, supervisor):
        try:
            load.load()
        except load.ConfigurationError:
            return False
    return True


def test_the_schema_is_valid_in_the_draft_that_it_names() -> None:
    document = json_schema.document()

    Draft202012Validator.check_schema(document)
    assert document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


# ---- valid settings ----


@pytest.mark.parametrize("block", test_docs.settings_examples())
def test_every_example_of_the_docs_fits_the_schema(block: str) -> None:
    names: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(block, names)

    assert fits(names[PROCESSES], names.get(SUPERVISOR, NOT_SET))


RIGHT: dict[str, tuple[Any, Any]] = {
    "everything of a process": (test_conf.EVERYTHING, NOT_SET),
    "everything of the supervisor": ({"web": sleeper()}, test_conf.EVERYTHING_FOR_ALL),
    "nothing for the supervisor": ({"web": sleeper()}, {}),
    "own values": ({"web": sleeper(**test_conf.OWN)}, test_conf.DEFAULTS),
    "a oneshot": ({"web": sleeper(TYPE="oneshot", RESTART="on-failure", MAX_MEMORY=7)}, NOT_SET),
    "a oneshot by its backend": ({"web": {"BACKEND": "wait-for", "REFRESH": True}}, NOT_SET),
    "a service by its own TYPE": (
        {"web": {"BACKEND": "wait-for", "TYPE": "service", "RESTART": "always"}},
        NOT_SET,
    ),
    "a oneshot with None": (
        {"web": sleeper(TYPE="oneshot", RESTART=None, HEALTHCHECK=None, WATCHDOG=None)},
        NOT_SET,
    ),
    "one probe, and None for the others": (
        {"web": sleeper(HEALTHCHECK={"HTTP": None, "TCP": ":80", "COMMAND": None})},
        NOT_SET,
    ),
    "a BACKOFF of nothing but zeros": ({"web": sleeper(BACKOFF={"INITIAL": 0, "MAX": 0})}, NOT_SET),
    "a MAX at the default INITIAL": ({"web": sleeper(BACKOFF={"MAX": 0.5})}, NOT_SET),
    "an INITIAL at the default MAX": ({"web": sleeper(BACKOFF={"INITIAL": 30})}, NOT_SET),
    "None for all that may be None": (
        {
            "web": sleeper(
                **{
                    field.encode_name: None
                    for field in msgspec.structs.fields(schema.ProcessSettings)
                    if field.default is None
                }
            )
        },
        {"MAX_MEMORY": None},
    ),
    "names of every kind": (
        {name: sleeper() for name in ("a", "B-2", "_", "_-", "9", "a" * 63)},
        NOT_SET,
    ),
    "a week": ({"web": sleeper(STOP_TIMEOUT=schema.WEEK)}, NOT_SET),
}


@pytest.mark.parametrize("case", RIGHT)
def test_valid_settings_fit_the_schema(case: str) -> None:
    assert loads(*RIGHT[case])
    assert fits(*RIGHT[case])


@pytest.mark.parametrize("form", [form for form, _ in test_conf.FORMS])
def test_every_form_of_args_fits_the_schema(form: Any) -> None:
    assert fits({"web": sleeper(ARGS=form)})


# ---- wrong settings ----

WRONG = {name: corpus.wrong(name) for name in corpus.NAMES}

# Why a schema does not refuse a wrong setting.
VALUES = "a schema cannot compare two values"
KEYS = "a schema cannot compare a value with keys"
NAMES = "a schema follows no names"
NO_SIZE = "a schema does not calculate"
NO_PORT = "a pattern for a range of numbers is one that nobody can read"
NO_IPV6 = "an IPv6 address has more rules than a readable pattern"
NO_URL = "of a URL the pattern has the beginning and the characters"
NULL = "nobody types a null character by mistake: it is not worth a pattern"
NEWLINE = "Python's $ also matches before a newline at the end; an editor's does not"

UNSEEN = {
    "after_itself": KEYS,
    "after_nobody": KEYS,
    "after_with_a_typing_mistake": KEYS,
    "after_a_circle_of_two": NAMES,
    "after_a_circle_of_three": NAMES,
    "after_a_circle_at_the_end_of_a_way": NAMES,
    "after_two_circles": NAMES,
    "autoscale_below_replicas": VALUES,
    "autoscale_min_above_max": VALUES,
    "backoff_that_shrinks": VALUES,
    "backoff_that_shrinks_to_the_default": VALUES,
    "supervisor_backoff_that_shrinks": VALUES,
    "watchdog_nan": "JSON has no such number",
    "replicas_with_a_point": "2.0 is an integer to a schema",
    "after_what_runs_again_and_again": "a schema follows no names",
    "schedule_that_never_comes": "a pattern knows no dates",
    "every_that_is_too_long": "a pattern cannot compare numbers",
    "names_that_share_their_variables": "a schema cannot compare keys",
    "variable_for_two_processes": "a schema cannot compare keys",
    "name_of_a_wrong_type": "JSON has no other names",
    "name_with_a_newline_at_its_end": NEWLINE,
    "args_with_a_key_that_is_no_string": "JSON has no other keys",
    "env_secret_with_a_name_that_is_no_string": "JSON has no other keys",
    "env_secret_bytes": "JSON has no bytes",
    "env_secret_with_a_surrogate": "a schema knows no encodings",
    "env_secret_with_a_null_character": NULL,
    "env_impossible_value": NULL,
    "backend_a_class": "JSON has no classes",
    "healthcheck_command_null_in_an_argument": NULL,
    "healthcheck_command_null_in_its_program": NULL,
    "healthcheck_command_without_a_program": "an empty program beside arguments is rare",
    "group_id_out_of_range": "a pattern cannot compare numbers",
    "healthcheck_tcp_impossible_port": NO_PORT,
    "healthcheck_verify_beside_tcp": KEYS,
    "healthcheck_verify_without_https": VALUES,
    "ready_log_that_is_not_a_regular_expression": "each language has a grammar of its own",
    "healthcheck_url_with_a_fragment": NO_URL,
    "healthcheck_url_with_a_password": NO_URL,
    "healthcheck_url_with_a_wrong_ipv6_address": NO_URL,
    "healthcheck_url_with_an_ipv6_address_without_brackets": NO_URL,
    "max_memory_of_nothing": NO_SIZE,
}


@pytest.mark.parametrize("case", WRONG)
def test_invalid_settings_do_not_fit_the_schema_unless_listed_as_unseen(case: str) -> None:
    settings = WRONG[case].processes, WRONG[case].supervisor

    assert fits(*settings) is (loads(*settings) or case in UNSEEN)


@pytest.mark.parametrize("case", UNSEEN)
def test_the_loader_refuses_errors_that_the_schema_cannot_see(case: str) -> None:
    settings = WRONG[case].processes, WRONG[case].supervisor

    assert fits(*settings)
    assert not loads(*settings)


def test_the_schema_refuses_more_than_100_invalid_settings() -> None:
    seen = [case for case in WRONG.values() if not fits(case.processes, case.supervisor)]

    assert len(seen) > 100


def test_the_schema_refuses_an_unknown_or_missing_setting() -> None:
    assert not VALIDATOR.is_valid({**in_json({"web": sleeper()}), "PRODUCTION_SUPERVISER": {}})
    assert not VALIDATOR.is_valid({SUPERVISOR: {}})


# ---- values given as text ----

TEXTS: dict[str, tuple[Callable[[str], Any], list[Any], list[Any], Any]] = {
    "MAX_MEMORY": (
        lambda text: sleeper(MAX_MEMORY=text),
        [text for text, _ in test_schema.SIZES],
        [*test_schema.NO_SIZES, *test_schema.TOO_SMALL, "9" * 16],
        st.from_regex(texts.SIZE, fullmatch=True),
    ),
    "HTTP": (
        lambda text: sleeper(HEALTHCHECK={"HTTP": text}),
        [text for text, _ in test_schema.TARGETS],
        [text for text, _ in test_schema.NO_TARGETS],
        st.from_regex(texts._URL, fullmatch=True)
        | st.from_regex(texts.PATH_OR_URL, fullmatch=True),
    ),
    "TCP": (
        lambda text: sleeper(HEALTHCHECK={"TCP": text}),
        [text for text, _ in test_schema.ADDRESSES],
        [text for text, _ in test_schema.NO_ADDRESSES],
        st.from_regex(texts.TCP_ADDRESS, fullmatch=True),
    ),
}
UNSEEN_TEXTS = {
    **dict.fromkeys(test_schema.TOO_SMALL, NO_SIZE),
    "1 MB\n": NEWLINE,
    "localhost:0": NO_PORT,
    "localhost:65536": NO_PORT,
    "[1.2.3.4]:80": NO_IPV6,
    "localhost:8000\n": NEWLINE,
    "http://localhost/\n": NEWLINE,
    **{
        text: NO_URL
        for text, message in test_schema.NO_TARGETS
        if text.startswith(("/", "http://", "https://", "unix:/"))
        and (message != test_schema.ENCODE or text.startswith("unix:"))
    },
    **{
        text: "a schema counts no bytes"
        for text, _ in test_schema.NO_ADDRESSES
        if text.startswith("unix:é")
    },
    "unix::/health": "a path of a socket may have any character",
}


@pytest.mark.parametrize("key", TEXTS)
def test_the_schema_accepts_valid_texts_and_refuses_invalid_texts(key: str) -> None:
    entry, right, wrong, _ = TEXTS[key]

    assert [text for text in right if not fits({"web": entry(text)})] == []
    unseen = [text for text in wrong if fits({"web": entry(text)})]
    assert unseen == [text for text in wrong if text in UNSEEN_TEXTS]


@pytest.mark.parametrize("key", TEXTS)
@given(data=st.data())
def test_the_schema_accepts_every_generated_text_that_the_loader_accepts(
    key: str, data: Any
) -> None:
    entry, _, _, texts = TEXTS[key]
    processes = {"web": entry(data.draw(texts))}

    assert fits(processes) or not loads(processes)


# ---- descriptions ----


@pytest.mark.parametrize("struct", json_schema.STRUCTS)
def test_the_schema_describes_every_key_in_a_sentence(struct: Any) -> None:
    properties = json_schema.document()["$defs"][struct.__name__]["properties"]
    meanings = [made["description"] for made in properties.values()]

    assert list(properties) == [field.encode_name for field in msgspec.structs.fields(struct)]
    assert all(text[0].isupper() and text[-1] == "." for text in meanings), meanings


# ---- the command ----


def test_the_command_prints_the_schema() -> None:
    printed = prodserver({"web": sleeper()}, "--schema")

    assert json.loads(printed) == json_schema.document()


@pytest.mark.parametrize(
    ("processes", "supervisor"),
    [(NOT_SET, NOT_SET), ([], 3), ({"web": {}}, {"X": 1}), ({"web": {"BACKEND": BEAT}}, {})],
)
def test_the_command_prints_the_schema_even_if_the_settings_are_invalid(
    processes: Any, supervisor: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with configured(processes, supervisor):
        call_command("prodserver", "--schema")

    assert json.loads(capsys.readouterr().out) == json_schema.document()


def test_manage_py_prints_the_schema_without_any_prodserver_settings(site: Site) -> None:
    run = site(None, "--schema")

    assert run.end() == 0
    assert json.loads("".join(run.raw)) == json_schema.document()


@pytest.mark.parametrize(
    "arguments", [["web"], ["--all"], ["--all", "--except", "web"], ["--", "-x"]]
)
def test_schema_takes_no_process_names(arguments: list[str]) -> None:
    assert refused({"web": sleeper()}, "--schema", *arguments) == [
        "--schema takes no process names."
    ]
