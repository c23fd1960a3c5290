"""Where an update comes from: the store's board, or a folder, which may be a stick.

What lies on a stick is a stranger's: only files named as ours are looked at, no deeper than one folder, no link is followed, and
nothing is read past what is signed. Who answers at the board's address proves nothing and need not: what comes is checked.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import IO

import httpx

from kiosk.provision.source import SIGN_IN, said, why
from kiosk.update.offer import FILE_NAME, MOST_BYTES, PATH, SUFFIX, BadOffer, Offer
from kiosk.update.package import CHUNK_BYTES

ANSWER_S = 10.0
FILES_MOST = 2000


class NothingThere(BadOffer):
    """The place is sound, and offers nothing."""


@dataclass(frozen=True)
class Found:
    """The signed file of an offer, where it was found, and how the package itself is read."""

    where: str
    signed: bytes
    chunks: Callable[[Offer], Iterator[bytes]]


# --- the board --------------------------------------------------------------------------------------------------------


def at_board(board: str, architecture: str) -> Found:
    """Return what a board offers for an architecture; raise `BadOffer`."""
    base = f"{board.rstrip('/')}{PATH}"
    address = f"{base}/{architecture}"
    with _answer(address) as answer:
        signed = b"".join(islice(answer.iter_bytes(MOST_BYTES + 1), 1))
    return Found(address, signed, lambda offer: _download(f"{base}/{offer.file_name}"))


def _download(address: str) -> Iterator[bytes]:
    with _answer(address) as answer:
        try:
            yield from answer.iter_bytes(CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise BadOffer(f"{address}: broke off ({error}); it is fetched again next time") from None


@contextmanager
def _answer(address: str) -> Iterator[httpx.Response]:
    """Ask a board; raise `BadOffer` saying why there is nothing."""
    try:
        with (
            httpx.Client(verify=False, timeout=ANSWER_S, follow_redirects=False, trust_env=False) as client,  # noqa: S501 - see above
            client.stream("GET", address, headers={"accept": "application/json"}) as answer,
        ):
            _look(address, answer)
            yield answer
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BadOffer(f"{address}: {why(error)}") from None


def _look(address: str, answer: httpx.Response) -> None:
    if answer.is_redirect or answer.status_code == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        raise BadOffer(f"{address} leads elsewhere: {SIGN_IN}")
    if answer.status_code == HTTPStatus.OK:
        return
    says = said(b"".join(islice(answer.iter_bytes(MOST_BYTES), 1)))
    if answer.status_code == HTTPStatus.NOT_FOUND and says:
        raise NothingThere(f"{address}: {says}")
    raise BadOffer(f"{address}: {says or f'the answer is {answer.status_code}; is this the board?'}")


# --- a folder ---------------------------------------------------------------------------------------------------------


def in_folder(folder: Path, architecture: str) -> Iterator[Found]:
    """Yield what lies signed in a folder, and in those below it, for an architecture; raise `BadOffer` when there is nothing."""
    others, unsigned, some = set(), [], False
    for package in sorted(islice(_packages(folder), FILES_MOST)):
        named = FILE_NAME.fullmatch(package.name)
        if named is None or named["architecture"] != architecture:
            others.add(named["architecture"] if named else "")
        elif not package.with_name(f"{package.name}{SUFFIX}").exists():
            unsigned.append(package)
        else:
            some = True
            yield from_files(package)
    if unsigned:
        raise BadOffer(f"{unsigned[0]} is not signed: {unsigned[0].name}{SUFFIX} is missing beside it; copy both files")
    if not some:
        others_too = f" for {architecture}, only for {', '.join(sorted(others - {''}))}" if others - {""} else ""
        raise NothingThere(
            f"{folder}: there is no stayby_….deb{others_too}; copy the two files from the store's board/updates"
        )


def _packages(folder: Path) -> Iterator[Path]:
    for place in (folder, *_folders(folder)):
        try:
            with os.scandir(place) as entries:
                yield from (Path(one.path) for one in islice(entries, FILES_MOST) if _may_be_ours(one))
        except OSError:
            continue  # a stick with a damaged folder: what can be read may hold it


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in islice(entries, FILES_MOST) if one.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise BadOffer(f"{folder}: {error.strerror}; name a folder, or mount the stick") from None


def _may_be_ours(entry: "os.DirEntry[str]") -> bool:
    return entry.name.startswith("stayby_") and entry.name.endswith(".deb") and entry.is_file(follow_symlinks=False)


def from_files(package: Path) -> Found:
    """Return what is signed beside a package; raise `BadOffer`."""
    signature = package.with_name(f"{package.name}{SUFFIX}")
    with _opened(signature) as file:
        signed = file.read(MOST_BYTES + 1)
    return Found(str(package), signed, lambda _: _chunks(package))


def _chunks(package: Path) -> Iterator[bytes]:
    with _opened(package) as file:
        try:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise BadOffer(f"{package}: {error.strerror}; the stick is damaged: take another one") from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise BadOffer(f"{path} is missing; copy the package and its {SUFFIX} file together") from None
    except OSError as error:
        raise BadOffer(f"{path}: {error.strerror}; copy it again") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise BadOffer(f"{path} is no file; copy it again")
    with os.fdopen(number, "rb") as file:
        yield file
