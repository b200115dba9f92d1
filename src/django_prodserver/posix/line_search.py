"""The search in the output of a life for the line that signals readiness."""

from __future__ import annotations

from collections.abc import Callable

from django_prodserver.logs.lines import Block
from django_prodserver.supervisor.hints import TYPE_CHECKING

from .signals import TookTooLong, within_processor_time

if TYPE_CHECKING:
    import re

# A regular expression can take for ever. So only this many bytes of each line are searched, and the
# search in the lines of one read may take this many seconds of processor time.
LONGEST = 4096
SEARCH_LIMIT = 0.25


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern, before anything is started: this imports `re`, which caches the result."""
    import re

    return re.compile(pattern)


class LineSearch:
    """Searches until a line matches, and calls `found` once; or until a search takes too long."""

    def __init__(
        self, pattern: str, found: Callable[[], None], gave_up: Callable[[], None]
    ) -> None:
        self._has = compiled(pattern).search
        self._found = found
        self._gave_up = gave_up
        self._over = False

    def over(self, block: Block) -> bool:
        """Search these lines; True if no others need to be searched."""
        if not self._over and block.end:
            try:
                found = within_processor_time(SEARCH_LIMIT, lambda: self._search(bytes(block)))
            except TookTooLong:
                self._over = True
                self._gave_up()
            else:
                self._over = found
                if found:
                    self._found()
        return self._over

    def _search(self, lines: bytes) -> bool:
        return any(
            self._has(line[:LONGEST].rstrip(b"\r").decode(errors="replace"))
            for line in lines[:-1].split(b"\n")
        )
