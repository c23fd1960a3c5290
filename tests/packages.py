"""Small packages by the name of ours, made by the real dpkg-deb."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

CONTROL = """Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: Tests <tests@stayby.invalid>
Installed-Size: {size_kib}
Description: a package for tests
"""


def build(
    folder: Path,
    version: str,
    architecture: str = "amd64",
    name: str = "stayby",
    scripts: Mapping[str, str] | None = None,
    depends: str = "",
    size_kib: int = 10,
    **files: str,
) -> Path:
    """Build a package with some files (name without its folder, and text) in /usr/lib/stayby; return its file."""
    tree = folder / f"tree-{version}-{architecture}"
    (tree / "DEBIAN").mkdir(parents=True)
    control = CONTROL.format(name=name, version=version, architecture=architecture, size_kib=size_kib)
    (tree / "DEBIAN" / "control").write_text(control + (f"Depends: {depends}\n" if depends else ""))
    for script, text in (scripts or {}).items():
        (tree / "DEBIAN" / script).write_text(text)
        (tree / "DEBIAN" / script).chmod(0o755)
    (tree / "usr" / "lib" / "stayby").mkdir(parents=True)
    for file, text in {"version": version, **files}.items():
        (tree / "usr" / "lib" / "stayby" / file).write_text(text)
    made = folder / f"{name}_{version}_{architecture}.deb"
    build_tree = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(made)]
    subprocess.run(build_tree, check=True, stdout=subprocess.DEVNULL)
    return made
