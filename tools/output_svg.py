"""Draw eight lines of terminal output of examples/quickstart: docs/_static/output.svg.

This takes some seconds, so run it by hand when the output has changed. It needs rich.
"""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "examples" / "quickstart"
PICTURE = ROOT / "docs" / "_static" / "output.svg"
COMMAND = ["manage.py", "prodserver", "--all", "--color", "always"]
# The lines to show, in this order.
SHOWN = (
    r"supervising ",
    r"migrate\.1 finished",
    r"web\.1 ready",
    r"all 5 ready",
    r"system .* web\.1 http://",
    r"worker\.1 .* celery #",
    r"tasks\.1 .* django-tasks #",
    r"tasks\.1 was killed",
)
# rich's own template loads a font from another site.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
  <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as var:
        lines = run(var)
    chosen = [next(line for line in lines if re.search(one, plain(line))) for one in SHOWN]
    # As a terminal of this width shows it: longer lines wrap.
    console = Console(record=True, width=88, file=io.StringIO(), force_terminal=True)
    for line in chosen:
        console.print(Text.from_ansi(line), overflow="fold")
    console.save_svg(
        str(PICTURE),
        title="python manage.py prodserver --all",
        theme=DIMMED_MONOKAI,
        code_format=TEMPLATE,
        unique_id="output",
    )
    print(*map(plain, chosen), sep="\n")


def run(var: str) -> list[str]:
    """Run a task of each queue, then kill one worker; return the lines of the terminal."""
    ours, theirs = pty.openpty()
    address = f"127.0.0.1:{free_port()}"
    environ = {
        **os.environ,
        "QUICKSTART_VAR": var,
        "QUICKSTART_BIND": address,
        "PYTHONWARNINGS": "ignore",
    }
    site = subprocess.Popen(
        [sys.executable, *COMMAND],
        cwd=QUICKSTART,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    try:
        text += until(ours, b"web.1 http://")
        demo = [sys.executable, "manage.py", "queue_demo", "--url", f"http://{address}/"]
        subprocess.run(demo, cwd=QUICKSTART, env=environ, check=True, stdout=subprocess.DEVNULL)
        text += until(ours, b"celery #", b"django-tasks #")
        (pid,) = re.findall(rb"tasks\.1 ready after .* s \(pid (\d+)\)", text)
        os.kill(int(pid), signal.SIGKILL)
        text += until(ours)
    finally:
        site.terminate()
        site.wait()
    return text.decode().splitlines()


def until(terminal: int, *words: bytes) -> bytes:
    """Read until all of these words have come; without words, until the end."""
    text = b""
    while not words or not all(word in text for word in words):
        chunk = read(terminal)
        if not chunk:
            break
        text += chunk
    return text


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: the last process at the terminal has exited.
        return b""


def free_port() -> int:
    """Return 8000, the port that the docs use, or any free port."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", 8000))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


if __name__ == "__main__":
    main()
