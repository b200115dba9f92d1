"""The output of `prodserver --export` for examples/quickstart, in examples/platforms.

PYTHONPATH=src python tools/exported_examples.py           prints the files that are stale
PYTHONPATH=src python tools/exported_examples.py --write   updates them
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "examples" / "quickstart"
PLATFORMS = ROOT / "examples" / "platforms"

MACHINE = ("directory=/srv/quickstart", "python=/srv/quickstart/.venv/bin/python")
IMAGE = ("image=registry.example.org/quickstart:1.2.3",)
# A format for each kind of platform, with the values for `--set`.
EXPORTED = {
    "systemd": MACHINE,
    "compose": IMAGE,
    "kubernetes-split": (*IMAGE, "hooks=argocd"),
    "heroku": (),
    "cloudrun": IMAGE,
}


def exported(folder: Path) -> dict[Path, str]:
    """Write all files below `folder`; return their texts by their paths there."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "QUICKSTART_BIND": "0.0.0.0:8000",
        "QUICKSTART_VAR": str(folder / "var"),
    }
    found = {}
    for one, values in EXPORTED.items():
        output = folder / one
        sets = [word for value in ("name=quickstart", *values) for word in ("--set", value)]
        command = [sys.executable, "-W", "ignore", "manage.py", "prodserver", "--all"]
        command += ["--export", one, "--output", str(output)]
        sets = sets if one != "heroku" else sets[:2]
        done = subprocess.run(
            [*command, *sets], cwd=QUICKSTART, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        for path in sorted(path for path in output.rglob("*") if path.is_file()):
            found[path.relative_to(folder)] = path.read_text(encoding="utf-8")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = exported(Path(folder))
    there = {
        path.relative_to(PLATFORMS) for one in EXPORTED for path in PLATFORMS.glob(f"{one}/**/*")
    }
    gone = {path for path in there if (PLATFORMS / path).is_file()} - wanted.keys()
    for path, text in wanted.items():
        file = PLATFORMS / path
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        print(path)
        if "--write" in sys.argv:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for path in sorted(gone):
        print(f"{path} is not written any more")
        if "--write" in sys.argv:
            (PLATFORMS / path).unlink()


if __name__ == "__main__":
    main()
