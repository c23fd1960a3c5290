"""Lays out /usr/lib/stayby for one architecture: the product, and what it needs from PyPI, for the Pythons of Debian 12 and 13.

One tree serves both. `packages` holds all that is the same for them, and extension modules of both beside each other, for each
carries its Python in its name; `python3.11` and `python3.13` hold what differs (numpy, TensorFlow Lite), and are virtual
environments, so that a child process of `sys.executable` finds the same. Nothing of the target is run: wheels alone are
unpacked, each checked against its hash in requirements.lock.
"""

import argparse
import csv
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE))

from firmware_bridge.build import firmware_elf  # noqa: E402 - of this tree, not of an installed one

PYTHONS = ("3.11", "3.13")
# the C library of Debian 12
PLATFORMS = {"amd64": "x86_64-manylinux_2_36", "arm64": "aarch64-manylinux_2_36"}
STRIP = {"amd64": "x86_64-linux-gnu-strip", "arm64": "aarch64-linux-gnu-strip"}
LOCK = SOURCE / "requirements.lock"

PURE = "cobs"
"""Comes without a wheel. Its C half is left out: a frame of the button's has 40 bytes."""

NOT_NEEDED = {
    "docutils": "Kivy's reStructuredText widget",
    "kivy-garden": "Kivy's old downloader of widgets",
    "sounddevice": "Moonshine's own microphone, never imported",
    "sympy": "onnxruntime's tools that change a model",
}

PRUNED = (
    "bin",  # commands of the libraries
    "share",
    "**/__pycache__",
    "**/tests",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.pyi",
    "**/*.h",
    "**/*.c",
    "**/*.a",
    "kivy/tools",
    "kivy/include",
    "kivy/lib/gstplayer",  # links GStreamer: no video is played
    "kivy/core/window/window_x11.*",  # SDL makes the window
    "numpy/f2py",  # makes Fortran modules
    "ai_edge_litert/aot",  # compiles for accelerators
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "pyopen_wakeword/lib",  # the package itself is never imported: its two front-end models are read
    "moonshine_voice/*.so",  # never imported either: its weights are read
    "moonshine_voice.libs",
    "moonshine_voice/assets/*.wav",
    # of the product: what trains, what plays a store, what fuzzes
    "kiosk/demo",
    "firmware_bridge/fuzz",
    "firmware_bridge/simulator",
    "firmware_bridge/firmware/*.[ch]",
    "models/*.py",
    "models/distress_en/report",
    "models/distress_en/train.toml",
)

UNREAD = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json"}
"""What an installer notes beside a distribution; dpkg knows every file."""

WITH_SYMBOLS = ("kivy", "fontTools")
"""Whose extension modules come with what a debugger wants: nine tenths of their size."""

Tree = Path


def run(*command: str | Path, cwd: Path = SOURCE) -> str:
    """Run a command and return what it printed; what it complained of goes to our own stderr."""
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def uv(*arguments: str | Path) -> str:
    """Run the uv of the environment that runs this."""
    return run(Path(sys.executable).with_name("uv"), *arguments)


# --- what is needed ---------------------------------------------------------------------------------------------------


def locked(names: Iterable[str]) -> str:
    """Return the blocks of requirements.lock of these packages: versions, markers and hashes."""
    wanted = set(names)
    blocks = re.split(r"^(?=[a-z0-9])", LOCK.read_text(), flags=re.MULTILINE)
    return "".join(block for block in blocks if block.partition("==")[0] in wanted)


def needed(python: str, platform: str, scratch: Path) -> list[str]:
    """Return the names of the packages that a unit needs, in the versions of the lock."""
    excludes = scratch / "excludes.txt"
    excludes.write_text("".join(f"{name}\n" for name in NOT_NEEDED))
    text = uv(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--extra", "second-look"),
        *("--constraints", LOCK, "--excludes", excludes, "--python-version", python, "--python-platform", platform),
        *("--only-binary", ":all:", "--no-binary", PURE, SOURCE / "pyproject.toml"),
    )
    return re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)


def fetch(python: str, platform: str, pure: Path, scratch: Path) -> Tree:
    """Unpack the wheels of one Python into a folder of `scratch`."""
    wanted = scratch / f"requirements-{python}.txt"
    wanted.write_text(locked(set(needed(python, platform, scratch)) - {PURE}))
    into = scratch / f"tree-{python}"
    uv(
        *(
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--link-mode",
            "copy",
        ),
        *("--target", into, "--python-version", python, "--python-platform", platform, "-r", wanted),
    )
    unpack(pure, into)
    for extension in (into / PURE).glob("**/*.so"):
        extension.unlink()
    return into


def build_pure(scratch: Path) -> Path:
    """Return a wheel of the package that has none, built from the source that the lock names."""
    requirement, folder = scratch / "pure.txt", scratch / "pure"
    requirement.write_text(locked([PURE]))
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"),
        *("--require-hashes", "--wheel-dir", folder, "-r", requirement),
    )
    return next(folder.glob("*.whl"))


def build_product(scratch: Path) -> Path:
    """Return the wheel of this tree, with the button's firmware in it."""
    hexfile = firmware_elf(scratch / "firmware").with_suffix(".hex")
    shutil.copyfile(hexfile, SOURCE / "firmware_bridge" / "firmware" / "button.hex")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", scratch / "product")
    return next((scratch / "product").glob("*.whl"))


def unpack(wheel: Path, into: Tree) -> None:
    """Unpack a pure wheel."""
    shutil.unpack_archive(wheel, into, "zip")


def prune(tree: Tree) -> None:
    """Remove what no unit uses."""
    for found in (found for pattern in PRUNED for found in sorted(tree.glob(pattern))):
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)
    spoken = {"root", "en", *(folder.name for folder in (tree / "kiosk" / "locale").iterdir() if folder.is_dir())}
    for language in (tree / "babel" / "locale-data").glob("*.dat"):
        if language.stem not in spoken:
            language.unlink()


def strip(tree: Tree, program: str) -> None:
    """Take away what a debugger wants."""
    extensions = [path for name in WITH_SYMBOLS for path in sorted((tree / name).rglob("*.so"))]
    run(program, "--strip-unneeded", *extensions)


# --- one tree for both ------------------------------------------------------------------------------------------------


def distributions(tree: Tree) -> dict[str, frozenset[Path]]:
    """Return the files of each distribution, as paths within the tree, by its name and version."""
    return {
        record.parent.stem: frozenset(
            Path(row[0]) for row in csv.reader(record.read_text().splitlines()) if (tree / row[0]).is_file()
        )
        for record in sorted(tree.glob("*.dist-info/RECORD"))
    }


def fits_both(files: Iterable[Path], trees: Iterable[Tree]) -> bool:
    """Whether the files of a distribution can be laid over each other: none is there twice with other contents."""
    first, second = trees
    return all(
        filecmp.cmp(first / name, second / name, shallow=False)
        for name in files
        if name.parent.suffix != ".dist-info" and (first / name).exists() and (second / name).exists()
    )


def lay_out(trees: dict[str, Tree], into: Path) -> None:
    """Copy what serves both into `packages`, and the rest into each one's site-packages."""
    owned = {python: distributions(tree) for python, tree in trees.items()}
    for python, tree in trees.items():
        for name, files in owned[python].items():
            everywhere = [one[name] for one in owned.values() if name in one]
            shared = len(everywhere) == len(trees) and fits_both(frozenset.union(*everywhere), trees.values())
            copy(files, tree, into / "packages" if shared else site_packages(into, python))


def copy(files: Iterable[Path], tree: Tree, target: Path) -> None:
    """Copy the files that are worth keeping."""
    for name in files:
        if not (name.parent.suffix == ".dist-info" and name.name in UNREAD):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree / name, target / name)


def site_packages(into: Path, python: str) -> Path:
    """Return where the packages of one Python lie."""
    return into / f"python{python}" / "lib" / f"python{python}" / "site-packages"


def make_environment(into: Path, python: str) -> None:
    """Make the folder of one Python a virtual environment that also finds `packages`."""
    home, site = into / f"python{python}", site_packages(into, python)
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python3").symlink_to(f"/usr/bin/python{python}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (site / "stayby.pth").write_text(os.path.relpath(into / "packages", site) + "\n")


def main() -> None:
    """Make the tree of one architecture."""
    parser = argparse.ArgumentParser(description="Lay out /usr/lib/stayby.")
    parser.add_argument("architecture", choices=PLATFORMS)
    parser.add_argument("into", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stayby-package-") as name:
        scratch = Path(name)
        product, pure = build_product(scratch), build_pure(scratch)
        trees = {python: fetch(python, PLATFORMS[chosen.architecture], pure, scratch) for python in PYTHONS}
        for tree in trees.values():
            unpack(product, tree)
            prune(tree)
            strip(tree, STRIP[chosen.architecture])
        lay_out(trees, chosen.into)
    for python in PYTHONS:
        make_environment(chosen.into, python)


if __name__ == "__main__":
    main()
