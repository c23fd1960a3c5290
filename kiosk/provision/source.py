"""Where a claim comes from: a file, a USB stick that is mounted here, or the store's board.

What lies on a stick is a stranger's: only files named *.claim are looked at, no deeper than one folder, no link is followed,
nothing is read past the size of a claim. A board is asked over TLS without knowing its authority yet; nothing rests on who
answers: a claim opens by its code or not at all, and a renewed certificate is checked against what the unit has.
"""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path

import httpx

from kiosk.provision.claim import MOST_BYTES, PATH, SUFFIX, BadClaim, Claim, read

STICKS = ("/media/", "/run/media/", "/mnt")
MOUNTS = Path("/proc/self/mounts")
FILES_MOST = 2000
ANSWER_S = 10.0
SIGN_IN = "this network wants somebody to sign in first (a captive portal); use the store's own network, or a USB stick"


class NotThere(BadClaim):
    """The board answers, and has nothing there."""


@dataclass(frozen=True)
class Found:
    """A claim and where it came from."""

    where: str
    claim: Claim


# --- sticks and files -------------------------------------------------------------------------------------------------


def mounted_sticks(mounts: Path = MOUNTS) -> list[Path]:
    """Return the folders of what is mounted where sticks are."""
    rows = (line.split(" ") for line in mounts.read_text(errors="replace").splitlines())
    places = [row[1].replace("\\040", " ") for row in rows if len(row) > 1 and row[0].startswith("/dev/")]
    return [Path(place) for place in places if f"{place}/".startswith(STICKS)]


def unmounted_sticks() -> list[str]:
    """Return the devices of sticks that are plugged in and not mounted; none where `lsblk` cannot say."""
    ask = ["lsblk", "--json", "--list", "--output", "PATH,RM,FSTYPE,MOUNTPOINT"]
    try:
        said = subprocess.run(ask, capture_output=True, check=True, timeout=ANSWER_S).stdout
        devices = json.loads(said)["blockdevices"]
        return [one["path"] for one in devices if one["rm"] and one["fstype"] and not one["mountpoint"]]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return []


def in_folder(folder: Path) -> tuple[list[Found], list[str]]:
    """Return the claims in a folder and in those below it, and a line for each file that is called so and is none."""
    found, wrong = [], []
    for path in sorted(islice(_claim_files(folder), FILES_MOST)):
        try:
            found.append(from_file(path))
        except BadClaim as error:
            wrong.append(str(error))
    return found, wrong


def _claim_files(folder: Path) -> Iterator[Path]:
    for place in (folder, *_folders(folder)):
        try:
            with os.scandir(place) as entries:
                yield from (Path(one.path) for one in islice(entries, FILES_MOST) if _is_claim(one))
        except OSError:
            continue  # a stick with a damaged folder: what can be read may hold the claim


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in islice(entries, FILES_MOST) if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_claim(entry: "os.DirEntry[str]") -> bool:
    return entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)


def from_file(path: Path) -> Found:
    """Return the claim in a file; raise `BadClaim`."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadClaim(f"{path} is no file; name the claim that the store's manager made")
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadClaim(f"{path}: {error.strerror}; copy the claim again from the store's manager") from None
    return Found(str(path), _read(str(path), data))


def _read(where: str, data: bytes) -> Claim:
    try:
        return read(data)
    except BadClaim as error:
        raise BadClaim(f"{where} {error}") from None


# --- the board --------------------------------------------------------------------------------------------------------


def address_of(given: str, unit: str = "") -> str:
    """Return the address of a claim of which the end or the beginning may be left out: "board.example:8443", and the unit."""
    whole = given.strip().rstrip("/")
    whole = whole if "://" in whole else f"https://{whole}"
    return whole if PATH in whole else f"{whole}{PATH}/{unit}"


def from_board(address: str) -> Found:
    """Return the claim at an address; raise `BadClaim`."""
    return Found(address, _read(address, get(address)))


def get(address: str) -> bytes:
    """Return what stands at an address, as much as a claim may be long and one byte; raise `BadClaim` saying why not."""
    try:
        # who answers proves nothing and need not: what comes is checked by itself, and the authority comes with it
        with (
            httpx.Client(verify=False, timeout=ANSWER_S, follow_redirects=False, trust_env=False) as client,  # noqa: S501
            client.stream("GET", address, headers={"accept": "application/json"}) as answer,
        ):
            data = b""
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > MOST_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise BadClaim(f"{address}: {why(error)}") from None
    if answer.is_redirect or answer.status_code == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        raise BadClaim(f"{address} leads elsewhere: {SIGN_IN}")
    if answer.status_code == HTTPStatus.NOT_FOUND and said(data):
        raise NotThere(f"{address}: {said(data)}")
    if answer.status_code != HTTPStatus.OK:
        raise BadClaim(f"{address}: {said(data) or f'the answer is {answer.status_code}; is this the board?'}")
    return data[: MOST_BYTES + 1]


def why(error: Exception) -> str:
    """Return why a board could not be asked, and what to do."""
    says = str(error)
    if isinstance(error, httpx.TimeoutException):
        return f"no answer in {ANSWER_S:g} s; check the network, and that the board runs"
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | ValueError):
        return "is no address; type it as it stands on the paper"
    if "Name or service not known" in says or "name resolution" in says or "No address associated" in says:
        return "no such name; check it on the paper, and this unit's network (`nmcli device`)"
    if "refused" in says:
        return "nothing answers there; start the board, or check the address on the paper"
    if "SSL" in says or "TLS" in says:
        return "it does not speak TLS as a board does; check the port on the paper"
    return f"{says or type(error).__name__}; check the network (`nmcli device`), or use a USB stick"


def said(data: bytes) -> str:
    """Return what a board says of why not; "" when it says nothing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    says = found.get("error") if isinstance(found, dict) else None
    return says if isinstance(says, str) and says.isprintable() and len(says) < 200 else ""  # noqa: PLR2004 - one line
