"""Convert the keys of supervisord.conf, compose files and gunicorn.conf.py. No I/O.

Each format has a table. A key becomes settings of the process, is read elsewhere, is not needed,
or is left out for a reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, Callable, Union, get_args

from django_prodserver.settings.convert import convert_mapping
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.schema import ProcessSettings, Signal

from .code import Code, LeftOut, expanded

# Converts a value to settings; or the reason why the key is left out, "" if nothing is lost.
Rule = Union[str, Callable[[Any], Mapping[str, Any]]]

READ = ""  # The reader of the format handles it.
DONE = ""  # The supervisor does it anyway.
UNKNOWN = "this key is not known here"


def carried(
    given: Mapping[str, Any], table: Mapping[str, Rule]
) -> tuple[dict[str, Any], list[str]]:
    """The settings that these keys become, and a sentence for each reason to leave some out."""
    settings: dict[str, Any] = {}
    reasons: dict[str, list[str]] = {}
    for key, value in given.items():
        rule = table.get(key, UNKNOWN)
        try:
            if isinstance(rule, str):
                raise LeftOut(rule)
            settings.update(_checked(rule(value)))
        except LeftOut as error:
            if error.reason:
                reasons.setdefault(error.reason, []).append(f"`{key}`")
    env, lost = variables(settings.pop("ENV", {}))
    settings.update({"ENV": env} if env else {})
    for name, reason in lost.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    return settings, [left_out(names, reason) for reason, names in reasons.items()]


def _checked(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings unchanged. Raises LeftOut if they are not valid."""
    findings: list[Finding] = []
    convert_mapping("", {"BACKEND": "command", **settings}, ProcessSettings, findings)
    if findings:
        place, message = findings[0].place, findings[0].message
        key = ".".join(re.findall("[A-Z_]+", place))
        raise LeftOut(f"{key} {message}".replace(" :", ":").rstrip("."))
    return settings


def left_out(names: list[str], reason: str) -> str:
    *others, last = names
    subject = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return f"{subject} not carried over: {reason}."


# ---- variables ----

# Variables that would not have the same effect here, and why.
VARIABLES: Mapping[str, str] = {
    "REMAP_SIGTERM": "the backends of Celery stop a worker so that it finishes its tasks",
    "DJANGO_SETTINGS_MODULE": "all processes have the same settings; set it for the supervisor",
    "PRODSERVER_CONTROL": "one supervisor of all processes has one control socket",
}
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|DSN")
_WITH_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")


def variables(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Split variables into those that can go into ENV, and the others with the reason for each."""
    kept: dict[str, Any] = {}
    lost: dict[str, str] = {}
    for name, text in given.items():
        try:
            value = expanded(text)
        except LeftOut as error:
            lost[name] = error.reason
            continue
        secret = _SECRET.search(name.upper()) or _WITH_PASSWORD.search(value)
        if name in VARIABLES:
            lost[name] = VARIABLES[name]
        elif not re.fullmatch(r"[^=\0]+", name) or "\0" in value:
            lost[name] = "it is not a variable that a process can have"
        elif value and secret and not isinstance(value, Code):
            lost[name] = "a secret belongs in the environment of the supervisor"
        else:
            kept[name] = value
    return kept, lost


# ---- values ----


def _text(value: Any) -> str:
    if isinstance(value, (Mapping, list)):
        raise LeftOut("its value is not text")
    return str(value).strip()


def _one_text(key: str) -> Rule:
    return lambda value: {key: expanded(_text(value))}


def _whole(value: Any, least: int) -> int:
    text = _text(value)
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
        raise LeftOut(f"{text!r} is not an integer from {least}")
    return int(text)


def _count(key: str) -> Rule:
    def become(value: Any) -> Mapping[str, Any]:
        number = _whole(value, 1)
        return {key: number} if key != "REPLICAS" or number > 1 else {}

    return become


def _flag(value: Any) -> bool:
    # Exactly the words that supervisor.datatypes.boolean accepts.
    text = _text(value).lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise LeftOut(f"{text!r} is neither true nor false")


def _only(wanted: str, reason: str) -> Rule:
    """Leave the key out: without a note if it has the `wanted` value, else for this reason."""

    def become(value: Any) -> Mapping[str, Any]:
        raise LeftOut("" if _text(value).lower() == wanted else reason)

    return become


def _stop_signal(value: Any) -> Mapping[str, Any]:
    name = "SIG" + _text(value).upper().replace("SIG", "", 1)
    if name not in get_args(Signal):
        raise LeftOut(f"STOP_SIGNAL is one of {', '.join(get_args(Signal))}")
    return {"STOP_SIGNAL": name}


def _account(value: Any) -> Mapping[str, Any]:
    """`user`, `user:group`, as names or ids."""
    names = _text(value).split(":")
    if len(names) > 2 or not all(re.fullmatch(r"[A-Za-z0-9_][\w.-]*\$?", name) for name in names):
        raise LeftOut("USER and GROUP are names or ids")
    return dict(zip(("USER", "GROUP"), (int(n) if n.isdecimal() else n for n in names)))


def _retries(number: int) -> Mapping[str, Any]:
    """BURST counts all starts, so it is the number of retries plus the first start."""
    return {"START_LIMIT": {"BURST": number + 1}}


# ---- supervisord: http://supervisord.org/configuration.html#program-x-section-settings ----

_ONE_OUTPUT = "all output goes to stdout, each line with the name of its process"
_GROUP = "the stop signal goes to the main process only, so that it can finish its work"
_AUTORESTART = {"true": "always", "false": "never", "unexpected": "on-failure"}


def _autorestart(value: Any) -> Mapping[str, Any]:
    text = _text(value).lower()
    policy = _AUTORESTART.get(text)
    return {"RESTART": policy or ("always" if _flag(text) else "never")}


def _umask(value: Any) -> Mapping[str, Any]:
    text = _text(value)
    if not re.fullmatch(r"0?[0-7]{1,3}", text):
        raise LeftOut("UMASK is three octal digits")
    return {"UMASK": text.zfill(4)}


def _supervisord_environment(value: Any) -> Mapping[str, Any]:
    """`KEY="value",KEY2=value2`, read as supervisord reads it."""
    lexer = shlex.shlex(_text(value), posix=False)
    lexer.wordchars += "/.+-():%"
    try:
        tokens = list(lexer)
    except ValueError:
        raise LeftOut("a quotation mark is missing in it") from None
    names, equals, values, commas = (tokens[start::4] for start in range(4))
    if {*equals} - {"="} or {*commas} - {","} or len(values) != len(names):
        raise LeftOut('write it as KEY="value",KEY="value" for ENV')
    pairs = zip(names, (text.strip("\"'").replace("%%", "%") for text in values))
    return {"ENV": dict(pairs)}


def _group(value: Any) -> Mapping[str, Any]:
    raise LeftOut(_GROUP if _flag(value) else "")


def _log_file(value: Any) -> Mapping[str, Any]:
    text = _text(value)
    raise LeftOut("" if text.startswith("/dev/") else _ONE_OUTPUT + "; no files are written")


_OUTPUT_KEYS = ("maxbytes", "backups")
SUPERVISORD: Mapping[str, Rule] = {
    "command": READ,
    "process_name": DONE,
    "numprocs": _count("REPLICAS"),
    "numprocs_start": _only("0", "instances are numbered from 1"),
    "priority": "write AFTER, which also waits until the other process is ready",
    "autostart": lambda value: {} if _flag(value) else {"ENABLED": False},
    "autorestart": _autorestart,
    "startsecs": DONE,
    "startretries": lambda value: _retries(_whole(value, 0)),
    "exitcodes": _only("0", "each backend knows the exit statuses of its software"),
    "stopsignal": _stop_signal,
    "stopwaitsecs": _count("STOP_TIMEOUT"),
    "stopasgroup": _group,
    "killasgroup": DONE,
    "user": _account,
    "umask": _umask,
    "directory": _one_text("CWD"),
    "environment": _supervisord_environment,
    "redirect_stderr": DONE,
    **{f"{stream}_logfile": _log_file for stream in ("stdout", "stderr")},
    **{f"{stream}_logfile_{key}": DONE for stream in ("stdout", "stderr") for key in _OUTPUT_KEYS},
    **{f"{stream}_capture_maxbytes": DONE for stream in ("stdout", "stderr")},
    **{
        f"{stream}_{key}": _only("false", _ONE_OUTPUT)
        for stream in ("stdout", "stderr")
        for key in ("events_enabled", "syslog")
    },
    "serverurl": DONE,
}
# Prefixes of section names, and why such sections are not converted.
SUPERVISORD_SECTIONS: Mapping[str, str] = {
    "eventlistener:": "ON_EVENT calls functions instead",
    "fcgi-program:": "no backend speaks FastCGI",
    "group:": "`prodctl` takes several names instead",
    "include": "run --init again with the programs of these files in this one",
}
# Keys of [supervisord] itself that its programs inherit.
SUPERVISORD_SHARED: Mapping[str, str] = {
    "environment": "set it where the supervisor is started, or in each ENV",
    "directory": "set CWD in PRODUCTION_SUPERVISOR",
    "user": "set USER in PRODUCTION_SUPERVISOR",
    "umask": "set UMASK in PRODUCTION_SUPERVISOR",
}


def ends_by_itself(program: Mapping[str, str]) -> bool:
    """Whether an immediate exit counts as success, and the program is not restarted after it."""
    restarts = program.get("autorestart", "").strip().lower()
    return program.get("startsecs", "1").strip() == "0" and restarts in ("false", "unexpected")


# ---- compose: https://docs.docker.com/reference/compose-file/services/ ----

_CONTAINER = "set it for the container that the supervisor runs in"
_LIMITS = _CONTAINER + "; memory is the only limit that a process has"
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_RESTART = {
    "no": "never",
    "none": "never",
    "false": "never",  # YAML reads an unquoted `no` as false.
    "always": "always",
    "any": "always",
    "unless-stopped": "always",
    "on-failure": "on-failure",
}


def seconds(value: Any) -> float:
    """A duration such as `1m30s`, `10s` or `500ms`."""
    text = _text(value)
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
    parts = re.findall(r"(\d{1,6}(?:\.\d{1,6})?)(h|ms|us|m|s)", text)
    total = sum(float(number) * units[unit] for number, unit in parts)
    if not parts or "".join(map("".join, parts)) != text:
        raise LeftOut(f"{text!r} is not a duration such as '1m30s'")
    return int(total) if total == int(total) else total


def _restart(value: Any) -> Mapping[str, Any]:
    policy, _, most = _text(value).lower().partition(":")
    if policy not in _RESTART:
        raise LeftOut(f"RESTART is one of {', '.join(dict.fromkeys(_RESTART.values()))}")
    limit = _retries(_whole(most, 0)) if most else {}
    return {"RESTART": _RESTART[policy], **limit}


def _memory(value: Any) -> Mapping[str, Any]:
    text = _text(value).lower()
    found = re.fullmatch(r"(\d{1,15})([bkmg]?)b?", text)
    if found is None or not int(found[1]):
        raise LeftOut(f"{text!r} is not a size, such as '512m'")
    size = int(found[1]) * _UNITS[found[2]]
    return {"MAX_MEMORY": size if size % 2**20 else f"{size // 2**20}MiB"}


def _environment(value: Any) -> Mapping[str, Any]:
    """Read a mapping, or a list of `KEY=value`. A key without a value is inherited, so skip it."""
    if isinstance(value, list):
        pairs = (_text(one).partition("=") for one in value)
        return {"ENV": {name: text for name, equals, text in pairs if equals}}
    if not isinstance(value, Mapping):
        raise LeftOut("it is neither a mapping nor a list")
    given = {str(name): _scalar(text) for name, text in value.items() if text is not None}
    return {"ENV": given}


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _text(value)


def _health_check(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise LeftOut("it is not a mapping")
    probe = _probe(value.get("test"))
    if value.get("disable") is True or not probe:
        return {}
    times = ("interval", "timeout", "start_period")
    # In a compose file 0 means the default.
    given = {key.upper(): seconds(value[key]) for key in times if key in value}
    found = {key: number for key, number in given.items() if number}
    if "retries" in value:
        found["RETRIES"] = _whole(value["retries"], 1)
    return {"HEALTHCHECK": {**probe, **found}}


def _probe(test: Any) -> Mapping[str, Any]:
    if test is None:
        return {}
    words = [str(word) for word in test] if isinstance(test, list) else ["CMD-SHELL", _text(test)]
    kind, *command = words or ["NONE"]
    if kind == "NONE":
        return {}
    if kind not in ("CMD", "CMD-SHELL") or not command:
        raise LeftOut("its `test` begins with neither CMD nor CMD-SHELL")
    text = " ".join(command).replace("$$", "$")
    if re.match(r"(\S*/)?prodctl\b", text):
        return {}  # It probes the supervisor itself.
    url = re.search(r"\bhttps?://[^\s'\"|;&$]+", text)
    if url is not None and re.match(r"(\S*/)?(curl|wget)\b", text):
        return {"HTTP": url[0]}
    return {"COMMAND": command if kind == "CMD" else ["sh", "-c", text]}


def _deploy(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise LeftOut("it is not a mapping")
    found: dict[str, Any] = {}
    if "replicas" in value:
        found.update(_replicas(value["replicas"]))
    policy = value.get("restart_policy")
    if isinstance(policy, Mapping):
        found.update(_restart(policy.get("condition", "any")))
        if "max_attempts" in policy:
            found.update(_retries(_whole(policy["max_attempts"], 0)))
    memory = _inner(value, "resources", "limits", "memory")
    return {**found, **({} if memory is None else _memory(memory))}


def _inner(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def deploy_losses(deploy: Any) -> list[str]:
    """Sentences on the keys of `deploy` that are not converted."""
    if not isinstance(deploy, Mapping):
        return []
    kept = {"replicas", "restart_policy", "resources"}
    names = [f"`deploy.{key}`" for key in deploy if key not in kept]
    resources = deploy.get("resources")
    for group, inner in resources.items() if isinstance(resources, Mapping) else ():
        for key in inner if isinstance(inner, Mapping) else ():
            if (group, key) != ("limits", "memory"):
                names.append(f"`deploy.resources.{group}.{key}`")
    return [left_out(names, _LIMITS)] if names else []


def _replicas(value: Any) -> Mapping[str, Any]:
    if _text(value) == "0":
        return {"ENABLED": False}
    number = _whole(value, 1)
    return {"REPLICAS": number} if number > 1 else {}


_STAYS_WITH_CONTAINER = (
    *(
        "ports",
        "expose",
        "volumes",
        "volumes_from",
        "networks",
        "network_mode",
        "links",
        "hostname",
    ),
    *("external_links", "extra_hosts", "dns", "dns_search", "labels", "logging", "secrets"),
    *("configs", "cap_add", "cap_drop", "devices", "privileged", "read_only", "security_opt"),
    *("shm_size", "tmpfs", "ulimits", "sysctls", "cpus", "cpuset", "cpu_shares", "pids_limit"),
    *("mem_reservation", "memswap_limit", "group_add", "ipc", "pid", "runtime", "gpus", "develop"),
)
COMPOSE: Mapping[str, Rule] = {
    **dict.fromkeys(("build", "image", "pull_policy", "platform", "container_name", "init"), DONE),
    **dict.fromkeys(("tty", "stdin_open", "attach"), DONE),
    **dict.fromkeys(("command", "entrypoint", "depends_on"), READ),
    **dict.fromkeys(_STAYS_WITH_CONTAINER, _CONTAINER),
    "environment": _environment,
    "env_file": "give these variables to the container, or read the file in the settings",
    "restart": _restart,
    "deploy": _deploy,
    "scale": _replicas,
    "stop_signal": _stop_signal,
    "stop_grace_period": lambda value: {"STOP_TIMEOUT": seconds(value)},
    "healthcheck": _health_check,
    "user": _account,
    "working_dir": _one_text("CWD"),
    "mem_limit": _memory,
    "profiles": lambda value: {"ENABLED": False} if value else {},
    "extends": "write out what the other service has",
}


# ---- gunicorn: https://docs.gunicorn.org/en/latest/settings.html ----

# Settings of gunicorn.conf.py that conflict with the supervisor, and why.
GUNICORN: Mapping[str, str] = {
    "daemon": "it would take gunicorn away from its supervisor",
    "pidfile": "`prodctl status` knows the process",
    "reload": "it is for development",
    "user": "write USER in the settings instead",
    "group": "write GROUP in the settings instead",
    "umask": "write UMASK in the settings instead",
}
