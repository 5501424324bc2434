"""Runs every check that executes nothing of the project, one line each. Started by scripts/lint."""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import subprocess
import sys
import time

ROOT = Path(__file__).resolve().parents[1]
INTEGRATION = "custom_components/cellular_uplink"
OFFLINE_HASSFEST = Path("../shared/tools/check_integration.py")
"""Outside the repository, where it is at hand; a public CI runs the real hassfest instead."""


def main() -> int:
    """Run the checks side by side and print how each went; return 1 when one failed."""
    parser = argparse.ArgumentParser(prog="scripts/lint", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fix", action="store_true", help="first mend what ruff can mend")
    args = parser.parse_args()
    os.chdir(ROOT)
    if args.fix:
        _run(_tool("ruff", "check", "--fix", "--quiet", "."))
        _run(_tool("ruff", "format", "--quiet", "."))
    failed = []
    with ThreadPoolExecutor() as pool:
        for name, (status, output, seconds) in zip(checks := _checks(), pool.map(_run, checks.values()), strict=True):
            print(f"{'ok    ' if status == 0 else 'FAILED'} {name} ({seconds:.1f} s)", flush=True)
            if status:
                failed.append(name)
                print(output.strip(), flush=True)
    print(f"lint: {len(failed)} of {len(checks)} failed: {', '.join(failed)}" if failed else "lint: everything passed")
    return 1 if failed else 0


def _checks() -> dict[str, Sequence[str]]:
    scripts = sorted(str(path) for path in Path("scripts").glob("*.py"))
    checks: dict[str, Sequence[str]] = {
        "ruff check": _tool("ruff", "check", "--output-format=concise", "."),
        "ruff format": _tool("ruff", "format", "--check", "."),
        "mypy: integration and simulator": _tool("mypy", "-p", "custom_components.cellular_uplink", "-p", "simulator"),
        # They are run with these folders on the import path; the engine is checked as part of the integration.
        "mypy: scripts": ("env", f"MYPYPATH=scripts:{INTEGRATION}", *_tool("mypy", *scripts, "scripts/stage")),
        "mypy: tests": _tool("mypy", "--explicit-package-bases", "tests"),
        "layers (import-linter)": (str(Path(sys.executable).with_name("lint-imports")),),
        "quirks: files and docs/quirks.md": (
            *("env", f"PYTHONPATH={INTEGRATION}"),
            *(sys.executable, "scripts/quirks_doc.py", "--check"),
        ),
        "shell scripts": ("bash", "-n", *_shell_scripts()),
    }
    if OFFLINE_HASSFEST.is_file():
        checks["hassfest and HACS, offline"] = (sys.executable, str(OFFLINE_HASSFEST), INTEGRATION)
    return checks


def _shell_scripts() -> list[str]:
    files = (path for folder in ("scripts", ".ci") for path in Path(folder).iterdir() if path.is_file())
    return sorted(str(path) for path in files if path.read_bytes().startswith(b"#!/usr/bin/env bash"))


def _tool(name: str, *arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", name, *arguments)


def _run(argv: Sequence[str]) -> tuple[int, str, float]:
    started = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
