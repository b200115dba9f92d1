"""Judges of each export format: its own tool, and checks of what that tool wrongly accepts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from honcho.environ import parse_procfile

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
QUANTITY = re.compile(r"[1-9][0-9]*(Ki|Mi|Gi|m)?")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")

# The command of each process in the files, by the name it has there.
Commands = Mapping[str, list[str]]


def run(*command: str) -> str:
    """Return what the command prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def program(name: str) -> str:
    """The path of a program from the virtual environment or from PATH; without it, skip."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def words(command: str) -> list[str]:
    import shlex

    return shlex.split(command)


# ---- one for each format ----


def procfile(folder: Path) -> Commands:
    text = (folder / "Procfile").read_text()
    read = parse_procfile(text).processes
    # The parser silently drops lines that it does not understand.
    assert len(read) == len(text.splitlines())
    return {name: words(command) for name, command in read.items()}


def systemd(folder: Path) -> Commands:
    units = sorted(str(path) for path in folder.iterdir())
    # It also exits with 0 for unknown keys, but prints them.
    assert run(program("systemd-analyze"), "verify", *units) == ""
    found = {}
    for path in folder.glob("*.service"):
        lines = path.read_text().splitlines()
        (command,) = [line for line in lines if line.startswith("ExecStart=")]
        found[path.stem] = words(command.partition("=")[2])
    return found


def supervisord(folder: Path) -> Commands:
    from supervisor.options import ServerOptions

    options = ServerOptions()
    options.realize(["-c", str(folder / "supervisord.conf")])
    text = (folder / "supervisord.conf").read_text()
    keys = set(re.findall(r"^([a-z_]+) = ", text, re.M))
    # supervisord accepts any key, even a misspelled one.
    assert keys <= {
        *("nodaemon", "logfile", "logfile_maxbytes", "file", "chmod", "serverurl", "command"),
        *("directory", "priority", "startsecs", "autorestart", "exitcodes", "stopsignal"),
        *("stopwaitsecs", "stopasgroup", "killasgroup", "redirect_stderr", "stdout_logfile"),
        *("stdout_logfile_maxbytes", "user", "environment"),
    }
    programs = [one for group in options.process_group_configs for one in group.process_configs]
    return {one.name: words(one.command) for one in programs}


def compose(folder: Path) -> Commands:
    file = str(folder / "compose.yaml")
    run(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file)
    run(program("docker-compose"), "-f", file, "config", "-q")
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert services[other]["healthcheck"], "who waits for it would wait for ever"
    return {name: one["command"] for name, one in services.items()}


def kubernetes(folder: Path) -> Commands:
    base = next(path for path in folder.glob("base/*.yaml") if path.stem != "kustomization")
    run(program("kubernetes-validate"), "--strict", "-k", "1.33", str(base))
    written = objects(base.read_text())
    found = {}
    for one in written:
        assert LABEL.fullmatch(one["metadata"]["name"])
        if one["kind"] in ("Deployment", "Job"):
            found[one["metadata"]["name"]] = _pod(one)
        if one["kind"] == "Job":
            assert one["spec"]["backoffLimit"] >= 0
        if one["kind"] == "Service":
            _leads_to_ports(one, written)
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            _scales(one, written)
        if one["kind"] == "PodDisruptionBudget":
            assert ("minAvailable" in one["spec"]) != ("maxUnavailable" in one["spec"])
            _selects(one["spec"]["selector"]["matchLabels"], written)
    return found


def objects(text: str) -> list[Any]:
    return [one for one in yaml.safe_load_all(text) if one]


def _pod(workload: Any) -> list[str]:
    """Return the command of the pod, after checks of what the schema does not cover."""
    template = workload["spec"]["template"]
    if workload["kind"] == "Deployment":
        labels = workload["spec"]["selector"]["matchLabels"]
        assert labels.items() <= template["metadata"]["labels"].items()
        assert template["spec"].get("restartPolicy", "Always") == "Always"
    else:
        assert template["spec"]["restartPolicy"] in ("Never", "OnFailure")
    (container,) = template["spec"]["containers"]
    assert LABEL.fullmatch(container["name"])
    named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    assert all(PORT_NAME.fullmatch(name) for name in named)
    assert all(0 < number < 65536 for number in named.values())
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(kind, {})
        for how in ("httpGet", "tcpSocket"):
            port = probe.get(how, {}).get("port")
            assert port is None or port in named or port in named.values()
        assert probe.get("timeoutSeconds", 1) >= 1
    for quantities in container.get("resources", {}).values():
        assert all(QUANTITY.fullmatch(one) for one in quantities.values())
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert template["spec"]["terminationGracePeriodSeconds"] > pause
    command: list[str] = container["command"]
    return command


def _selects(labels: Mapping[str, str], objects: list[Any]) -> Any:
    (found,) = [
        one
        for one in objects
        if one["kind"] == "Deployment"
        and labels.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    ]
    return found


def _scales(scaler: Any, objects: list[Any]) -> None:
    """The autoscaler's target is a Deployment without `replicas` of its own."""
    target = scaler["spec"]["scaleTargetRef"]["name"]
    (found,) = [
        one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == target
    ]
    assert "replicas" not in found["spec"]
    if scaler["kind"] == "ScaledObject":
        _fits_keda(scaler)
        for trigger in scaler["spec"]["triggers"]:
            host = trigger["metadata"]["url"].split("/")[2].partition(".")[0]
            assert [one for one in objects if one["kind"] == "Service" and _name(one) == host]


def _name(one: Any) -> str:
    return str(one["metadata"]["name"])


def _fits_keda(scaler: Any) -> None:
    """Validate against KEDA's own schema, made strict: by itself it accepts misspelled keys."""
    keda = pytest.importorskip("cloudcoil.models.keda.v1alpha1")
    jsonschema = pytest.importorskip("jsonschema")
    schema = keda.ScaledObject.model_json_schema()
    for one in (schema, *schema["$defs"].values()):
        if one.get("type") == "object" and "properties" in one:
            one["additionalProperties"] = False
    jsonschema.validate(scaler, schema)


def _leads_to_ports(service: Any, objects: list[Any]) -> None:
    deployment = _selects(service["spec"]["selector"], objects)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    named = [port["name"] for port in container["ports"]]
    assert all(port["targetPort"] in named for port in service["spec"]["ports"])


def fly(folder: Path) -> Commands:
    tomllib = pytest.importorskip("tomllib")
    found = tomllib.loads((folder / "fly.toml").read_text())
    # fly.toml's schema accepts unknown keys at the top level.
    known = {"app", "primary_region", "kill_signal", "kill_timeout", "deploy", "processes"}
    assert found.keys() <= known | {"services", "vm"}
    assert (found["kill_signal"], 0 < found["kill_timeout"] <= 300) == ("SIGTERM", True)
    processes = found["processes"]
    for service in found.get("services", ()):
        assert set(service["processes"]) <= processes.keys()
    ports = [port["port"] for one in found.get("services", ()) for port in one["ports"]]
    assert len(ports) == len(set(ports))
    return {**_released(found.get("deploy", {}).get("release_command")), **_split(processes)}


def render(folder: Path) -> Commands:
    (services,) = yaml.safe_load((folder / "render.yaml").read_text()).values()
    found: dict[str, list[str]] = {}
    for one in services:
        # The keys of Render's Blueprint specification.
        assert one.keys() <= {
            *("type", "name", "runtime", "dockerCommand", "numInstances", "healthCheckPath"),
            *("maxShutdownDelaySeconds", "preDeployCommand", "envVars"),
        }
        assert one["type"] in ("web", "worker")
        assert 1 <= one["maxShutdownDelaySeconds"] <= 300
        found.update(_released(one.get("preDeployCommand")))
        found[one["name"]] = words(one["dockerCommand"])
    return found


def heroku(folder: Path) -> Commands:
    app = json.loads((folder / "app.json").read_text())
    assert app.keys() == {"name", "description", "buildpacks", "formation"}
    commands = dict(procfile(folder))
    built = yaml.safe_load((folder / "heroku.yml").read_text())
    assert built.keys() <= {"build", "release", "run"}
    assert {name: words(one) for name, one in built["run"].items()} == {
        name: one for name, one in commands.items() if name != "release"
    }
    assert app["formation"].keys() == built["run"].keys() == built["build"]["docker"].keys()
    return {**_released(" ".join(commands.pop("release", []))), **commands}


def cloudrun(folder: Path) -> Commands:
    (file,) = folder.iterdir()
    kinds = {
        "Job": "run.googleapis.com/v1",
        "WorkerPool": "run.googleapis.com/v1",
        "Service": "serving.knative.dev/v1",
    }
    found = {}
    for one in yaml.safe_load_all(file.read_text()):
        assert kinds[one["kind"]] == one["apiVersion"]
        _fits_google(one)
        assert LABEL.fullmatch(one["metadata"]["name"])
        spec = one["spec"]["template"]["spec"]
        (container,) = (spec["template"]["spec"] if one["kind"] == "Job" else spec)["containers"]
        assert len(container.get("ports", ())) == (one["kind"] == "Service")
        found[one["metadata"]["name"]] = container["command"]
    return found


def _fits_google(one: Any) -> None:
    """Validate against the description of Google's API that its client contains."""
    client = pytest.importorskip("googleapiclient", reason="google-api-python-client is missing")
    jsonschema = pytest.importorskip("jsonschema")
    (folder,) = client.__path__
    document = Path(folder, "discovery_cache", "documents", "run.v1.json")
    described = json.loads(document.read_text(encoding="utf-8"))["schemas"]
    for schema in described.values():
        # The description does not forbid unknown keys, but the API refuses them.
        schema.setdefault("additionalProperties", False)
    found = json.loads(json.dumps(described).replace('"$ref": "', '"$ref": "#/schemas/'))
    schema = {"$ref": f"#/schemas/{one['kind']}", "schemas": found}
    jsonschema.Draft3Validator(schema).validate(one)


def _split(commands: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: words(command) for name, command in commands.items()}


def _released(command: Any) -> dict[str, list[str]]:
    """One command runs all oneshots."""
    return {"release": words(command)} if command else {}


JUDGES: Mapping[str, Callable[[Path], Commands]] = {
    "procfile": procfile,
    "systemd": systemd,
    "systemd-split": systemd,
    "supervisord": supervisord,
    "compose": compose,
    "compose-single": compose,
    "kubernetes": kubernetes,
    "kubernetes-split": kubernetes,
    "fly": fly,
    "render": render,
    "heroku": heroku,
    "cloudrun": cloudrun,
}


def processes(commands: Commands) -> Iterator[str]:
    """Yield the process names of all commands, as `prodserver` receives them."""
    for command in commands.values():
        start = next(i for i, w in enumerate(command) if w in ("prodserver", "django_prodserver"))
        yield from command[start + 1 :]
