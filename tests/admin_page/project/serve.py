"""The WSGI application; run as a program, it serves itself without a supervisor."""

from __future__ import annotations

import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_wsgi_application()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    from prepare import prepare

    prepare()
    server = make_server("127.0.0.1", 0, application, Server, Quiet)
    print(f"serves at port {server.server_port}", flush=True)
    server.serve_forever()
