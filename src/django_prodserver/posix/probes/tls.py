"""A probe that sends a GET over TLS. Imported only if there is one: see `running.prepare`."""

from __future__ import annotations

import codecs
import selectors
import socket
import ssl
from functools import cache

from django_prodserver.supervisor.hints import Callable, Union

from .http import HttpProbe


@cache
def context(verify: Union[bool, str]) -> ssl.SSLContext:
    """How to verify certificates: not at all, by the system's CA certificates, or by a file's.

    Made once, before anything is forked: it reads files. Raises OSError if one cannot be read.
    """
    codecs.lookup("idna")  # Imports what the handshake needs to encode the name of the server.
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols(["http/1.1"])
    if verify is False:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    elif verify is True:
        made.load_default_certs()
    else:
        made.load_verify_locations(verify)
    return made


class HttpsProbe(HttpProbe):
    """Does the TLS handshake first; each step says whether it waits to read or to write."""

    def _open(self, connection: socket.socket) -> None:
        tls = self._target.tls
        assert tls is not None
        self._socket = context(tls.verify).wrap_socket(
            connection, server_hostname=tls.name, do_handshake_on_connect=False
        )
        self._shake_hands()

    def _shake_hands(self) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except OSError as error:
            self._interrupted(error, self._shake_hands)
            return
        self._watch(self._socket.fileno(), selectors.EVENT_WRITE, self._send)

    def _interrupted(self, error: OSError, again: Callable[[], None]) -> None:
        assert self._socket is not None
        if isinstance(error, ssl.SSLWantReadError):
            self._watch(self._socket.fileno(), selectors.EVENT_READ, again)
        elif isinstance(error, ssl.SSLWantWriteError):
            self._watch(self._socket.fileno(), selectors.EVENT_WRITE, again)
        elif isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message.rstrip(".")
            self.finish(f"the certificate of {self._target.url} is not valid: {why}")
        elif isinstance(error, ssl.SSLError):
            # For example `TLSV13_ALERT_CERTIFICATE_REQUIRED`.
            why = (error.reason or str(error)).replace("_", " ").lower()
            self.finish(f"no TLS connection to {self._target.url}: {why}")
        else:
            super()._interrupted(error, again)
