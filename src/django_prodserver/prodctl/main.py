"""The command: `prodctl`, and `manage.py prodctl` with the settings of the project."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial

from django_prodserver.completion import ASKED
from django_prodserver.posix.control.client import Client, Failure, checking_version
from django_prodserver.posix.control.finding import current_folder, find
from django_prodserver.posix.control.place import VARIABLE
from django_prodserver.posix.stdout import give_up_stdout
from django_prodserver.supervisor.hints import Optional

from .parser import parser
from .verbs import VERBS, WITHOUT_ONE_CLIENT

# 128 plus the number of SIGINT, as in shells.
INTERRUPTED = 130
# In seconds: how long an answer may take, and how long after the Tab key is pressed.
TIMEOUT, COMPLETION_TIMEOUT = 10.0, 3.0


def main(
    words: Optional[Sequence[str]] = None, prog: str = "prodctl", socket: Optional[str] = None
) -> int:
    """Run the command; return its exit status. `socket` is used unless another one is chosen."""
    words = sys.argv[1:] if words is None else words
    # If the encoding lacks a character, print an escape instead of failing.
    getattr(sys.stdout, "reconfigure", dict)(errors="backslashreplace")
    default = None if os.environ.get(VARIABLE) else socket
    if words and words[0] == ASKED:
        from .completing import complete

        return complete(words[1:], lambda chosen: _client(chosen or default, COMPLETION_TIMEOUT))
    options = parser(prog, words).parse_args(words)
    if options.verb is None:
        words = [*words, "status"]
        options = parser(prog, words).parse_args(words)
    chosen = options.socket or default
    try:
        if options.verb in WITHOUT_ONE_CLIENT:
            return WITHOUT_ONE_CLIENT[options.verb](partial(_client, chosen), options)
        timeout = options.timeout if options.verb == "health" else TIMEOUT
        with checking_version():
            return VERBS[options.verb](_client(chosen, timeout), options)
    except Failure as failure:
        print(f"{prog}: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        # The reader has closed the pipe. Keep Python from reporting that when it exits.
        give_up_stdout()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _client(chosen: Optional[str], timeout: Optional[float] = None) -> Client:
    """Return a client of the supervisor that runs now. Raises Failure if there is none."""
    return Client(find(chosen, os.environ, current_folder()), timeout)


def run() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
