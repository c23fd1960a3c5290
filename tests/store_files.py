"""A good store.toml for tests, and the files that it names."""

from collections.abc import Mapping
from pathlib import Path

import trustme

STAFF = {"sam": "Sam", "alex": "Alex", "mo": "محمد"}


def store_text(folder: Path, *, port: int = 8883, extra: str = "") -> str:
    """Return the text of a store.toml whose certificates lie in `folder`."""
    people = "".join(
        f'\n[[staff]]\nid = "{one}"\nname = "{name}"\nrole = "{"manager" if one == "alex" else "staff"}"\n'
        f'cert_file = "{folder}/staff-{one}.pem"\nkey_file = "{folder}/staff-{one}.key"\n'
        for one, name in STAFF.items()
    )
    return f"""\
tiers = ["the staff", "the manager"]

[store]
id = "harbour"
name = "Harbour Stores"
zone = "Europe/London"

[broker]
host = "127.0.0.1"
port = {port}
ca_file = "{folder}/ca.pem"
cert_file = "{folder}/board-harbour.pem"
key_file = "{folder}/board-harbour.key"
{people}
[[unit]]
id = "desk-3"
place = "Service desk 3"

[[unit]]
id = "returns"
place = "Returns"

[[rota]]
tier = 1
staff = ["sam", "mo"]
hours = "08:00-18:00"

[[rota]]
tier = 2
staff = ["alex"]
{extra}"""


def write_store(folder: Path, changes: Mapping[str, str] = {}, *, port: int = 8883, extra: str = "") -> Path:
    """Write a store.toml and the files that it names, with `changes` of its text; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for user in ("broker", "board-harbour", "unit-desk-3", *(f"staff-{one}" for one in STAFF)):
        signed = authority.issue_cert("127.0.0.1", common_name=user)
        key = folder / f"{user}.key"
        signed.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        signed.cert_chain_pems[0].write_to_path(folder / f"{user}.pem")
    text = store_text(folder, port=port, extra=extra)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "store.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path
