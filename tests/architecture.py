#!/usr/bin/env python3
"""Fails when a house uses another one that it may not: by an include or by a link.

The table is the one of docs/architecture.md. `--links FILE` names what CMake wrote about its targets, one a
line: the folder (relative to the tree), the target, then what it links, separated by spaces.
"""

import argparse
import re
import sys
from pathlib import Path

CORE, BUNDLE, IMAGE = "core", "airgap-bundle", "imagebuild"
INSTALLER, AGENT, LAB, CLI = "installer", "node-agent", "qemu-tests/lab", "cli"

# What a house may use besides itself.
MAY_USE = {
    CORE: set(),
    BUNDLE: {CORE},
    IMAGE: {CORE, BUNDLE},
    INSTALLER: {CORE, BUNDLE},
    AGENT: {CORE, BUNDLE},
    LAB: {CORE, BUNDLE, IMAGE},  # a rehearsal builds the medium it boots
    # Scenarios and payload run the executable and see nothing of our C++.
    "qemu-tests": set(),
    "manifests": set(),
    CLI: {CORE, BUNDLE, IMAGE, INSTALLER, AGENT, LAB},
    "bench": {CORE, BUNDLE, IMAGE, INSTALLER, AGENT, LAB},
}
LIBRARIES = {
    "bedplate_core": CORE,
    "bedplate_bundle": BUNDLE,
    "bedplate_image": IMAGE,
    "bedplate_installer": INSTALLER,
    "bedplate_agent": AGENT,
    "bedplate_lab": LAB,
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
SUFFIXES = {".cpp", ".hpp", ".h", ".c", ".inc"}


def house_of(path: str) -> str | None:
    """The house that a path relative to the tree lies in; the longest name wins."""
    inside = [house for house in MAY_USE if path == house or path.startswith(house + "/")]
    return max(inside, key=len, default=None)


def target_of(root: Path, source: Path, name: str) -> str | None:
    """The house an include leads to; None for the system's headers."""
    beside = (source.parent / name).resolve()
    if beside.is_file() and beside.is_relative_to(root):
        return house_of(beside.relative_to(root).as_posix())
    return house_of(name)


def allowed(house: str) -> str:
    return ", ".join(sorted({house} | MAY_USE[house]))


def wrong_includes(root: Path) -> list[str]:
    found = []
    for house in MAY_USE:
        for source in sorted((root / house).rglob("*")):
            where = source.relative_to(root).as_posix()
            if source.suffix not in SUFFIXES or house_of(where) != house:
                continue
            for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                used = target_of(root, source, match[1]) if match else None
                if used not in {None, house} | MAY_USE[house]:
                    found.append(
                        f"{where}:{number}: {house} may not include {used} ({match[1]}); "
                        f"it may use {allowed(house)}"
                    )
    return found


def wrong_links(links: str) -> list[str]:
    found = []
    for line in links.splitlines():
        folder, target, *libraries = line.split()
        house = house_of(folder)
        for library in libraries:
            used = LIBRARIES.get(library)
            if house and used not in {None, house} | MAY_USE[house]:
                found.append(
                    f"{folder}/CMakeLists.txt: {target} may not link {library} of {used}; "
                    f"{house} may use {allowed(house)}"
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--links", type=Path)
    arguments = parser.parse_args()
    found = wrong_includes(arguments.root.resolve())
    if arguments.links:
        found += wrong_links(arguments.links.read_text())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
