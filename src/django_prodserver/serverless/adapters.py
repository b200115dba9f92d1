"""Adapts the project's application to requests in payload 2.0, with apig-wsgi or mangum.

What these packages lack is added around the application: the site is mounted at the base path
(SCRIPT_NAME, root_path), and headers arrive as Django sent them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any, Callable

from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN, application
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import SERVERLESS

from .events import BASE_PATH

Adapter = Callable[[dict[str, Any], Any], dict[str, Any]]
# A WSGI or ASGI application.
Application = Callable[..., Any]

# Interface -> the module of its adapter, and the package to install for it.
PACKAGES = {"wsgi": ("apig_wsgi", "apig-wsgi"), "asgi": ("mangum", "mangum")}


def adapter(configuration: Configuration) -> Adapter:
    """Import the application and its adapter. Raises ConfigurationError without the package."""
    interface = interface_of(configuration)
    module, package = PACKAGES[interface]
    if find_spec(module) is None:
        message = f"needs the package {package} for {interface.upper()}."
        raise ConfigurationError([Finding(SERVERLESS, message, f"Run: pip install {package}.")])
    return over_wsgi() if interface == "wsgi" else over_asgi()


def interface_of(configuration: Configuration) -> str:
    """Return INTERFACE, else the interface of the first web server, else "wsgi"."""
    if configuration.serverless.interface:
        return configuration.serverless.interface
    for process in configuration.processes.values():
        path = BUILT_IN.get(process.backend, process.backend)
        try:
            backend = import_string(path)
        except ImportError:
            continue  # In a Lambda deployment the packages of workers may be missing.
        if isinstance(backend, type) and issubclass(backend, application.ApplicationServer):
            return backend.interface
    return "wsgi"


# ---- WSGI ----


def over_wsgi() -> Adapter:
    from apig_wsgi import make_lambda_handler

    served = mounted_wsgi(_import(application.wsgi()))
    # Treat every response as binary: by default it decodes text in any charset as UTF-8.
    handler: Adapter = make_lambda_handler(
        served, binary_support=True, non_binary_content_type_prefixes=()
    )
    return handler


def mounted_wsgi(served: Application) -> Application:
    def mounted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = environ["apig_wsgi.full_event"][BASE_PATH]
        body: Iterable[bytes] = served(environ, start_response)
        return body

    return mounted


# ---- ASGI ----


def over_asgi() -> Adapter:
    from mangum import Mangum

    # Django does not support lifespan: with it on, every request would log an error.
    handler: Adapter = Mangum(mounted_asgi(_import(application.asgi())), lifespan="off")
    return handler


def mounted_asgi(served: Application) -> Application:
    async def mounted(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _for_mangum(message.get("headers", ()))}
            await send(message)

        base_path = scope["aws.event"][BASE_PATH]
        path = base_path + scope["path"]
        await served({**scope, "root_path": base_path, "path": path}, receive, sent)

    return mounted


def _for_mangum(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Encode headers as UTF-8, as mangum decodes them; without a Content-Type it adds JSON's."""
    encoded = [(name, value.decode("latin-1").encode()) for name, value in headers]
    if all(name.lower() != b"content-type" for name, _ in encoded):
        encoded.append((b"content-type", b""))
    return encoded


def _import(application: str) -> Application:
    imported: Application = import_string(application.replace(":", "."))
    return imported
