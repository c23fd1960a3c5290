"""The Debian package: one tree for two Pythons, what a purge must know, and what is in a package that `make deb` built."""

import importlib.util
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DEBIAN = ROOT / "debian"
USERS = re.findall(r"^u (\S+)", (ROOT / "systemd/stayby.sysusers").read_text(), flags=re.MULTILINE)


@pytest.fixture
def assemble() -> ModuleType:
    spec = importlib.util.spec_from_file_location("assemble", DEBIAN / "assemble.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(tree: Path, name: str, **files: str) -> None:
    """Install a distribution of files (their names with _ for . and __ for /) into a tree."""
    names = {file.replace("__", "/").replace("_", "."): text for file, text in files.items()}
    record = tree / f"{name}.dist-info" / "RECORD"
    for file, text in {**names, f"{name}.dist-info/METADATA": name}.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(text)
    record.write_text("".join(f"{file},,\n" for file in (*names, f"{name}.dist-info/METADATA", "bin/gone")))


def laid_out(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_the_same_for_both_pythons_lies_once_and_the_rest_stays_whole(
    assemble: ModuleType, tmp_path: Path
) -> None:
    trees = {python: tmp_path / python for python in ("3.11", "3.13")}
    for python, tree in trees.items():
        put(tree, "pure-1", pure__a_py="a")
        put(tree, "native-1", native__a_py="a", **{f"native__b_cpython-{python[2:]}_so": python})
        # another build of one version: its libraries have names of their own, and its code finds them beside itself
        put(tree, "heavy-1", heavy__a_py=python, **{f"heavy_libs__c-{python[2:]}_so": python})
    put(trees["3.11"], "numbers-1", numbers_py="1")
    put(trees["3.13"], "numbers-2", numbers_py="1")
    assemble.lay_out(trees, tmp_path / "out")
    own = {python: laid_out(assemble.site_packages(tmp_path / "out", python)) for python in trees}
    assert laid_out(tmp_path / "out" / "packages") == {
        "pure-1.dist-info/METADATA",
        "pure/a.py",
        "native-1.dist-info/METADATA",
        "native/a.py",
        "native/b.cpython-11.so",
        "native/b.cpython-13.so",
    }
    heavy = {"heavy-1.dist-info/METADATA", "heavy/a.py"}
    assert own["3.11"] == heavy | {"heavy.libs/c-11.so", "numbers.py", "numbers-1.dist-info/METADATA"}
    assert own["3.13"] == heavy | {"heavy.libs/c-13.so", "numbers.py", "numbers-2.dist-info/METADATA"}


def test_the_lock_gives_every_block_of_a_package(assemble: ModuleType) -> None:
    blocks = assemble.locked(["numpy", "cobs"])
    assert re.findall(r"^(\S+?)==", blocks, re.MULTILINE) == ["cobs", "numpy", "numpy"]
    assert blocks.count("--hash=sha256:") > 20


def test_what_is_left_out_is_in_the_lock(assemble: ModuleType) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert [name for name in assemble.NOT_NEEDED if f"\n{name}==" not in lock] == []


def test_the_package_has_the_version_of_the_product() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (DEBIAN / "changelog").read_text().startswith(f"stayby ({version}) ")


def test_a_purge_removes_every_user_and_folder_of_the_services() -> None:
    script = (DEBIAN / "postrm").read_text()
    (users,) = re.findall(r"for user in (.*); do", script)
    assert users.split() == USERS
    removed = set(re.sub(r"\\\n", " ", script).partition("rm -rf ")[2].partition("\n")[0].split())
    for service in (ROOT / "systemd").glob("*.service"):
        folders = re.findall(r"^(State|Cache|Runtime|Logs)Directory=(\S+)", service.read_text(), flags=re.MULTILINE)
        where = {"State": "/var/lib", "Cache": "/var/cache", "Runtime": "/run", "Logs": "/var/log"}
        kept = [Path(where[kind], name) for kind, name in folders]
        assert all({str(one), *map(str, one.parents)} & removed for one in kept)


# --- a package that is built --------------------------------------------------------------------------------------------

BUILT = sorted((ROOT / "build").glob("stayby_*.deb"))


@pytest.fixture(scope="module", params=BUILT, ids=lambda path: path.stem.rpartition("_")[2])
def inside(request: pytest.FixtureRequest) -> Iterator[dict[str, tarfile.TarInfo]]:
    """Yield what is in a package, by its path."""
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", request.param], stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar,
    ):
        yield {member.name.removeprefix("./"): member for member in tar}


@pytest.mark.skipif(not BUILT, reason="no package is built here: make deb")
def test_a_package_brings_what_a_unit_needs_and_nothing_else(inside: dict[str, tarfile.TarInfo]) -> None:
    packages = "usr/lib/stayby/packages"
    units = (
        path.name for kind in ("service", "socket", "target", "timer") for path in (ROOT / "systemd").glob(f"*.{kind}")
    )
    assert {
        "usr/bin/stayby",
        "usr/lib/sysusers.d/stayby.conf",
        "usr/lib/tmpfiles.d/stayby.conf",
        "usr/lib/udev/rules.d/60-stayby-button.rules",
        *(f"usr/lib/systemd/system/{name}" for name in units),
        f"{packages}/firmware_bridge/firmware/button.hex",
        f"{packages}/models/distress_en/distress_en.tflite",
        f"{packages}/moonshine_voice/assets/tiny-en/encoder_model.ort",
        f"{packages}/pyopen_wakeword/models/embedding_model.tflite",
        *(f"{packages}/kiosk/prompts/{tongue}/say_here.opus" for tongue in ("ar", "en", "es", "fr", "hi", "zh")),
        f"{packages}/kiosk/locale/hi/LC_MESSAGES/stayby.po",
        f"{packages}/kiosk/board/templates/base.html",
        f"{packages}/kiosk/board/static/sw.js",
        f"{packages}/kiosk/ui/pictures/breathe.svg",
    } <= inside.keys()
    not_here = (
        "kiosk/demo",
        "firmware_bridge/simulator",
        "tests",
        "pytest",
        "hypothesis",
        "playwright",
        "trustme",
        "sympy",
    )
    assert [name for name in not_here if f"{packages}/{name}" in inside] == []
    assert [name for name in inside if "__pycache__" in name] == []


@pytest.mark.skipif(not BUILT, reason="no package is built here: make deb")
def test_a_package_belongs_to_root_and_to_one_architecture(inside: dict[str, tarfile.TarInfo]) -> None:
    assert {(member.uid, member.gid) for member in inside.values()} == {(0, 0)}
    assert [name for name, member in inside.items() if member.mode & 0o022 and not member.issym()] == []
    extensions = [re.search(r"cpython-31[13]-(\w+)-linux-gnu\.so$", name) for name in inside]
    assert len({found[1] for found in extensions if found}) == 1
