"""The store's own authority: its key, what it signed, and what it took back.

It lies in one folder that nobody else can read, and needs no network. `ca.key` signs, `ca.pem` is its certificate, and
`register.json` is the list of all that it signed: who, until when, for which key, and whether it was revoked. The register is
written before a certificate leaves the authority, so that whatever is out can be revoked.

Every certificate is made out to one user of the broker's rules, for ECDSA on P-256. A renewed one is made for the same key: the
key need not travel again, and the certificate is nothing that anybody must hide.
"""

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kiosk.config_file import write_durably

Use = Literal["client", "server", "update"]
USES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "update": ExtendedKeyUsageOID.CODE_SIGNING,
}

AUTHORITY_LASTS = timedelta(days=20 * 365)
LASTS = timedelta(days=820)
"""With `CLOCK_SLACK` before it less than 825 days: no iPhone takes a page's certificate that is valid for longer
(https://support.apple.com/en-us/103769)."""
CLOCK_SLACK = timedelta(days=1)
"""So far may a clock be behind ours, and a new certificate or list is still taken there."""
KEY_FILE, CERTIFICATE_FILE, REGISTER_FILE, LOCK_FILE = "ca.key", "ca.pem", "register.json", "lock"


class AuthorityError(OSError):
    """The authority cannot do what was asked; its text says why and what to do now."""


class Entry(BaseModel):
    """One certificate that was signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    use: Use
    serial: str
    names: tuple[str, ...] = ()
    public_key: str
    ends: AwareDatetime
    revoked: AwareDatetime | None = None


class Register(BaseModel):
    """All that the authority signed, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: tuple[Entry, ...] = ()
    last_list: Annotated[AwareDatetime | None, Field()] = None


class Authority:
    """An authority in its folder. Its times are given, aware of their zone. Raises `AuthorityError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = _load_key(folder / KEY_FILE)
        self.certificate = _load_certificate(folder / CERTIFICATE_FILE)
        self.register = _load_register(folder / REGISTER_FILE)

    @classmethod
    def create(cls, folder: Path, store: str, name: str, now: datetime) -> Self:
        """Make the authority of a store in a folder that has none, and return it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Stayby {store}"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        ends, serial = now + AUTHORITY_LASTS, x509.random_serial_number()
        builder = _builder(subject, subject, key.public_key(), now, ends, serial)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        write_durably(folder / REGISTER_FILE, Register().model_dump_json(indent=1).encode(), 0o600)
        write_durably(folder / CERTIFICATE_FILE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        write_durably(folder / KEY_FILE, private_pem(key), 0o600)
        return cls(folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands off this authority meanwhile, and read the register as the last one left it."""
        with (self.folder / LOCK_FILE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.register = _load_register(self.folder / REGISTER_FILE)
            yield

    @property
    def pem(self) -> str:
        """Return the authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 as phones and computers show it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def issue(
        self,
        user: str,
        key: ec.EllipticCurvePublicKey,
        now: datetime,
        *,
        use: Use = "client",
        names: Sequence[str] = (),
    ) -> str:
        """Return a new certificate (PEM) for `key`, made out to `user`; `names` are those of a server."""
        ends = min(now + LASTS, self.certificate.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)])
        serial = x509.random_serial_number()
        builder = _builder(subject, self.certificate.subject, key, now, ends, serial)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([USES[use]]), critical=False)
        builder = builder.add_extension(_alternative_names(names or (user,)), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        entry = Entry(
            user=user,
            use=use,
            serial=f"{serial:x}",
            names=tuple(names),
            public_key=_public_pem(key),
            ends=_whole_s(ends),
        )
        self._write(self.register.model_copy(update={"entries": (*self.register.entries, entry)}))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def newest(self, now: datetime) -> list[Entry]:
        """Return of each user the certificate that was signed last, unless that one was revoked or has long ended."""
        latest = {(entry.user, entry.use): entry for entry in self.register.entries}
        return [entry for entry in latest.values() if entry.revoked is None and entry.ends > now - LASTS]

    def revoke(self, user: str, now: datetime) -> int:
        """Take back all that was signed for `user`; return how many still held."""
        mine = {
            one.serial for one in self.register.entries if one.user == user and one.revoked is None and one.ends > now
        }
        revoked = tuple(
            one.model_copy(update={"revoked": _whole_s(now)}) if one.serial in mine else one
            for one in self.register.entries
        )
        self._write(self.register.model_copy(update={"entries": revoked}))
        return len(mine)

    def revocations(self, now: datetime) -> str:
        """Return the list of what was taken back (PEM). It never ends: mosquitto lets nobody in by a list that has ended."""
        last = self.register.last_list
        said = max(_whole_s(now - CLOCK_SLACK), self.certificate.not_valid_before_utc)
        if last is not None and said <= last:
            said = last + timedelta(seconds=1)
        builder = x509.CertificateRevocationListBuilder(
            self.certificate.subject, said, self.certificate.not_valid_after_utc
        )
        for entry in self.register.entries:
            if entry.revoked is not None:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder(int(entry.serial, 16), entry.revoked).build()
                )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        self._write(self.register.model_copy(update={"last_list": said}))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _write(self, register: Register) -> None:
        write_durably(self.folder / REGISTER_FILE, register.model_dump_json(indent=1).encode(), 0o600)
        self.register = register


# --- parts of a certificate -------------------------------------------------------------------------------------------


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM without a passphrase: nobody sits at a unit that starts."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the public key in an entry of the register."""
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AuthorityError("the register names a key that is not of ours; put back its copy")
    return key


def _public_pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, ends: datetime, serial: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key, serial)
    builder = builder.not_valid_before(_whole_s(now - CLOCK_SLACK)).not_valid_after(_whole_s(ends))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _whole_s(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


# --- its files --------------------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        wrong = f"{path} cannot be read ({error.strerror})"
        raise AuthorityError(
            f"{wrong}; name the folder that `stayby store new` made, and run this as who made it"
        ) from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError):
        raise AuthorityError(f"{path} is no key that can be used; put back its copy") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{path} is not a key of ours; put back its copy")
    if path.stat().st_mode & 0o077:
        raise AuthorityError(f"others can read {path}, and it lets anybody in; run: chmod 600 {path}")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise AuthorityError(f"{path} is no certificate; put back its copy") from None


def _load_register(path: Path) -> Register:
    try:
        return Register.model_validate_json(_read(path))
    except ValidationError:
        raise AuthorityError(f"{path} is damaged; put back its copy: without it nothing can be revoked") from None


def free_folder(folder: Path) -> None:
    """Raise `AuthorityError` unless a new authority may be made in `folder`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AuthorityError(f"{folder} is there already, and not empty; name a new folder")
