"""Publishes an update: looks at the package, signs it with the store's authority, and puts it among what goes to the board.

One package for each architecture lies there: what a unit is offered is the manager's last word.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from kiosk.config_file import write_durably
from kiosk.messages import one_line
from kiosk.provision.authority import AuthorityError, new_key
from kiosk.provision.store_folder import BOARD, UPDATES, StoreFolder
from kiosk.signatures import canonical, signature_of
from kiosk.update import package
from kiosk.update.offer import PACKAGE, SUFFIX, Offer, SignedOffer, update_user


def publish(made: StoreFolder, files: Iterable[Path], now: datetime) -> list[Offer]:
    """Sign packages and put them into board/updates; return what is offered. Raises `AuthorityError`, `OSError`."""
    store = made.store().store.id
    wanted = [(file, _offer(file, store, now)) for file in files]
    folder = made.folder / BOARD / UPDATES
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with made.authority.alone():
        for file, offer in wanted:
            package.write_durably(package.chunks(file), folder / offer.file_name)
            signed = sign(made, offer, now)
            write_durably(folder / f"{offer.file_name}{SUFFIX}", signed.model_dump_json(indent=1).encode(), 0o644)
            _drop_others(folder, offer)
    return [offer for _, offer in wanted]


def sign(made: StoreFolder, offer: Offer, now: datetime) -> SignedOffer:
    """Return an offer signed; the key that signed it is gone then."""
    key, body = new_key(), offer.model_dump(mode="json")
    certificate = made.authority.issue(update_user(offer.store), key.public_key(), now, use="update")
    return SignedOffer(offer=body, signature=signature_of(key, canonical(body)), certificate=certificate)


def _offer(file: Path, store: str, now: datetime) -> Offer:
    try:
        says = package.fields(file)
    except package.BadPackage as error:
        raise AuthorityError(str(error)) from None
    if says.get("Package") != PACKAGE:
        raise AuthorityError(f"{file} is the package of {says.get('Package', 'nobody')}; name a package of Stayby")
    try:
        return Offer(
            version=says.get("Version", ""),
            architecture=says.get("Architecture", ""),
            sha256=package.digest(file),
            size=file.stat().st_size,
            store=store,
            signed_at=now,
        )
    except ValidationError as error:
        raise AuthorityError(f"{file} cannot be offered ({one_line(error)}); build it by `make deb`") from None


def _drop_others(folder: Path, offer: Offer) -> None:
    """Take away what was offered before for the same architecture."""
    for old in folder.glob(f"{PACKAGE}_*_{offer.architecture}.deb*"):
        if old.name not in {offer.file_name, f"{offer.file_name}{SUFFIX}"}:
            old.unlink()
