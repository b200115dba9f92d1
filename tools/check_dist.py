"""Whether a folder of distributions can be published: one wheel and one sdist of this version, with
all that they should hold and nothing else.

python tools/check_dist.py             looks at dist/, as `make wheel` does
python tools/check_dist.py --publish   also refuses addresses that lead nowhere
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from argparse import ArgumentParser
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "django_prodserver"
# Year, month, number within the month: the other package of this name on PyPI has 3.x at most.
CALVER = re.compile(r"[2-9]\d\.([1-9]|1[0-2])\.\d+")


def problems(dist: Path, version: str, publish: bool = False) -> Iterator[str]:
    """Yield a sentence for each problem with the files in `dist` as a release of `version`."""
    wheel = f"{PACKAGE}-{version}-py3-none-any.whl"
    sdist = f"{PACKAGE}-{version}.tar.gz"
    if not CALVER.fullmatch(version):
        yield f"The version must be year.month.number, such as 26.11.0; got {version}"
    found = sorted(file.name for file in dist.glob("*") if file.suffix in (".whl", ".gz"))
    if found != [wheel, sdist]:
        yield f"{dist} must hold {wheel} and {sdist}; found {', '.join(found) or 'nothing'}"
        return
    tracked = _tracked()
    modules = {name[len("src/") :] for name in tracked if name.startswith("src/")}
    info = f"{PACKAGE}-{version}.dist-info/"
    with zipfile.ZipFile(dist / wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(info)}
        metadata = Parser().parsestr(archive.read(f"{info}METADATA").decode())
    yield from _differences(wheel, names, needed=modules, possible=modules)
    yield from _metadata(metadata, version, publish)
    top = f"{PACKAGE}-{version}/"
    with tarfile.open(dist / sdist) as sources:
        names = {member.name[len(top) :] for member in sources if member.isfile()}
    needed = {f"src/{name}" for name in modules} | {"pyproject.toml", "README.md", "LICENSE"}
    yield from _differences(sdist, names, needed, possible=tracked | {"PKG-INFO"})


def _differences(file: str, found: set[str], needed: set[str], possible: set[str]) -> Iterator[str]:
    yield from (f"{file} lacks {name}" for name in sorted(needed - found))
    yield from (f"{file} must not hold {name}" for name in sorted(found - possible))


def _metadata(metadata: Message, version: str, publish: bool) -> Iterator[str]:
    if metadata["Version"] != version:
        yield f"The metadata must have version {version}; got {metadata['Version']}"
    addresses = metadata.get_all("Project-URL") or []
    if not addresses:
        yield "The metadata has no addresses; they are in [project.urls] of pyproject.toml"
    for address in addresses if publish else ():
        if ".example/" in address:
            yield f"Before anything is published, replace this address: {address}"


def _tracked() -> set[str]:
    """Return the files that git tracks, or would track after `git add --all`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def version_of_source() -> str:
    """Read the version from the source: an import might find another installed version."""
    source = (ROOT / "src" / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.*)"$', source, re.MULTILINE)
    return str(version)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("dist", nargs="?", type=Path, default=ROOT / "dist")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--version", default=version_of_source())
    given = parser.parse_args()
    wrong = list(problems(given.dist, given.version, given.publish))
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
