"""Installs in one go what Home Assistant would install one by one at its first start."""

import importlib.metadata
import importlib.util
import json
from pathlib import Path
import subprocess
import sys

from homeassistant.auth.mfa_modules import totp
import homeassistant.bootstrap
from packaging.requirements import Requirement

# For voice control. They have no wheel for Python 3.14, and building them takes a C++ compiler.
NOT_NEEDED = ("pymicro-vad", "pyspeex-noise")
_STAND_INS = {"pymicro_vad": "MicroVad", "pyspeex_noise": "AudioProcessor"}
USED_BY_THE_DEMO = {"local_file", "media_source", "camera", "image", "usb", "config"}


def main() -> int:
    """Install what a fresh Home Assistant asks for and this environment has not got; scripts/setup calls it."""
    package = Path(homeassistant.bootstrap.__file__).parent
    wanted = _requirements(package / "components", set(homeassistant.bootstrap.DEFAULT_INTEGRATIONS) | USED_BY_THE_DEMO)
    wanted |= set(totp.REQUIREMENTS)  # the log-in's second factor, which no manifest names
    missing = sorted(line for line in wanted if not _is_met(Requirement(line)))
    constraints = str(package / "package_constraints.txt")
    pip = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", sys.executable, "-c", constraints]
    return subprocess.run([*pip, *missing], check=False).returncode if missing else 0


def put_stand_ins(folder: Path) -> None:
    """Let Home Assistant import what it was told not to install: without that, its frontend does not load.

    Nothing of the demo calls them.
    """
    folder.mkdir()
    for module, name in _STAND_INS.items():
        if importlib.util.find_spec(module) is None:
            (folder / f"{module}.py").write_text(f'"""Stands in for the real one."""\n\n\nclass {name}:\n    pass\n')


def _requirements(components: Path, domains: set[str]) -> set[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(domains)
    while waiting:
        if (domain := waiting.pop()) in seen:
            continue
        seen.add(domain)
        manifest_file = components / domain / "manifest.json"
        if not manifest_file.is_file():
            continue
        manifest = json.loads(manifest_file.read_text())
        found.update(manifest.get("requirements", ()))
        waiting += manifest.get("dependencies", ())
    return {line for line in found if Requirement(line).name.lower() not in NOT_NEEDED}


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
