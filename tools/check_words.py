"""Finds words of tools/words.txt in texts that people read.

python tools/check_words.py [FILE ...]   prints each place, with a better word; status 1 if any
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORDS = ROOT / "tools" / "words.txt"
# Not our prose: code blocks, anything in backticks, URLs.
QUOTED = re.compile(r"^```.*?^```|`[^`\n]*`|https?://\S+", re.MULTILINE | re.DOTALL)
# The tokens of Python that hold prose; an f-string has tokens of its own since Python 3.12.
PROSE = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}
LOOKED_AT = ("*.md", "docs/**.md", "examples/**.md", "src/**.py", "src/**.txt", ".github/**")


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    better: str


def rules(text: str) -> Iterator[Rule]:
    """Parse the rules, one a line: a regular expression, an arrow, and what to write instead."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            words, _, better = line.partition(" -> ")
            # A space also matches a line break.
            pattern = words.replace(" ", r"\s+")
            yield Rule(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), better)


def places(text: str, known: Sequence[Rule]) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the words found there, and better ones."""
    prose = QUOTED.sub(lambda found: re.sub(r"[^\n]", "_", found[0]), text)
    for rule in known:
        for found in rule.pattern.finditer(prose):
            number = prose.count("\n", 0, found.start()) + 1
            yield number, " ".join(found[0].split()), rule.better


def prose_of_python(source: str) -> str:
    """Return the comments and strings of a source, each on its own line number."""
    lines = [""] * (source.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in PROSE:
            for number, text in enumerate(token.string.split("\n"), token.start[0]):
                lines[number] += f"{text.lstrip('# ')} "
    return "\n".join(lines[1:])


def tracked(patterns: Iterable[str]) -> Iterator[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return (file for file in files if file.is_file())


def main(names: Sequence[str]) -> int:
    known = list(rules(WORDS.read_text(encoding="utf-8")))
    files = [Path(name).resolve() for name in names] or list(tracked(LOOKED_AT))
    wrong = 0
    for file in files:
        text = file.read_text(encoding="utf-8")
        prose = prose_of_python(text) if file.suffix == ".py" else text
        for number, words, better in sorted(places(prose, known)):
            where = file.relative_to(ROOT) if ROOT in file.parents else file
            print(f"{where}:{number}: {words!r}; write: {better}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
