"""Walks from the unit's plug to the broker and back, hop by hop, up to the first that fails: what is behind it is not tested.

Nothing is sent but what the unit sends anyway: a name is asked for, a connection made, its own status written and read back.
"""

import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from kiosk.certificates import BadCertificate, validities, validity
from kiosk.config import BrokerSection, UnitConfig
from kiosk.doctor.machine import ROOT, read
from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.mqtt import CONNECT_S, explain, tls_context
from kiosk.provision.proof import NotProven, Proof, prove

HOPS = ("link", "address", "gateway", "name", "TCP", "TLS", "sign-in", "own topic")
ENDS_SOON_DAYS = 30
DAY_S = 86400.0
UP, GATEWAY = 0x1, 0x2
"""Flags of a route in /proc/net/route (linux/route.h)."""


def network(config: UnitConfig, is_us: Callable[[], bool], root: Path = ROOT) -> Iterator[Check]:
    """Yield a record for each hop to the broker. `is_us` says whether the hub that runs here is this unit."""
    for done, check in enumerate(_walk(config, is_us, root), 1):
        yield check
        if check.ok is False:
            for name in HOPS[done:]:
                yield untested(_named(name), f"not reached: {check.name} comes first")
            break
    yield from certificates(config.broker)


def _named(hop: str) -> str:
    return f"network {hop}"


def _walk(config: UnitConfig, is_us: Callable[[], bool], root: Path) -> Iterator[Check]:
    broker = config.broker
    found = _addresses(broker)
    here = isinstance(found, list) and all(ipaddress.ip_address(one).is_loopback for one in found)
    if here:
        for name in HOPS[:3]:
            yield untested(_named(name), "not needed: the broker runs on this machine")
    else:
        yield _link(root)
        yield _address()
        yield _gateway(root)
    yield _name(broker, found)
    yield _tcp(broker)
    yield _tls(broker)
    yield from _mqtt(config, is_us)


def _link(root: Path) -> Check:
    """Return whether any cable or radio carries a signal."""
    ports = [path for path in sorted(root.glob("sys/class/net/*")) if path.name != "lo" and (path / "device").exists()]
    ports = ports or [path for path in sorted(root.glob("sys/class/net/*")) if path.name != "lo"]
    up = [path.name for path in ports if read(path / "carrier") == "1"]
    if up:
        return well(_named("link"), f"{', '.join(up)}: signal", links=len(up))
    there = ", ".join(path.name for path in ports) or "no network port at all"
    do = "plug the network cable in until its lights come on; for Wi-Fi see `nmcli device wifi`, and its password"
    return wrong(_named("link"), f"no signal ({there})", do, links=0)


def _address() -> Check:
    """Return whether this machine has an address of its own; asking for the way to one sends nothing."""
    found = [one for one in (_own("192.0.2.1", socket.AF_INET), _own("2001:db8::1", socket.AF_INET6)) if one]
    real = [one for one in found if not ipaddress.ip_address(one).is_link_local]
    if real:
        return well(_named("address"), ", ".join(real))
    made_up = f"only {found[0]}, which it made up" if found else "no address"
    do = "the network gave none (DHCP): ask who runs it whether this port and MAC address may in, or set a fixed one"
    return wrong(_named("address"), made_up, do)


def _own(other: str, family: socket.AddressFamily) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((other, 9))
        except OSError:
            return None  # no way there of this family
        return str(sock.getsockname()[0])


def _gateway(root: Path) -> Check:
    """Return the way out of this network; a broker in the same network needs none."""
    for line in (read(root / "proc/net/route") or "").splitlines()[1:]:
        port, to, gateway, flags = line.split()[:4]
        if to == "00000000" and int(flags, 16) & (UP | GATEWAY) == UP | GATEWAY:
            return well(_named("gateway"), f"{ipaddress.ip_address(bytes.fromhex(gateway)[::-1])} by {port}")
    return untested(_named("gateway"), "no way out of this network; a broker in the same network needs none")


def _addresses(broker: BrokerSection) -> list[str] | OSError:
    try:
        return sorted({str(one[4][0]) for one in socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)})
    except OSError as error:
        return error


def _split(name: str, broker: BrokerSection, error: OSError) -> Check:
    """Return a fault of the link in its own words, cut into what is so and what to do."""
    says, _, do = explain(broker, error).partition("; ")
    return wrong(_named(name), says, do or "look at the broker's log")


def _name(broker: BrokerSection, found: list[str] | OSError) -> Check:
    if isinstance(found, OSError):
        return _split("name", broker, found)
    return well(_named("name"), f"{broker.host} is {', '.join(found[:4])}")


def _tcp(broker: BrokerSection) -> Check:
    begun_s = time.monotonic()
    try:
        socket.create_connection((broker.host, broker.port), CONNECT_S).close()
    except OSError as error:
        return _split("TCP", broker, error)
    took_ms = 1000 * (time.monotonic() - begun_s)
    return well(_named("TCP"), f"port {broker.port} answers after {took_ms:.0f} ms", tcp_ms=took_ms)


def _tls(broker: BrokerSection) -> Check:
    """Shake hands as the unit does, with the store's authority and no other."""
    begun_s = time.monotonic()
    try:
        context = tls_context(broker)
        with (
            socket.create_connection((broker.host, broker.port), CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as sock,
        ):
            der, version = sock.getpeercert(binary_form=True), sock.version()
    except (OSError, ssl.SSLError) as error:
        return _split("TLS", broker, error)
    took_ms = 1000 * (time.monotonic() - begun_s)
    ends = validity(der).ends if der else datetime.now(UTC)
    left = (ends - datetime.now(UTC)).total_seconds() / DAY_S
    says = f"{version}; the store's authority signed the broker's certificate, valid until {ends:%Y-%m-%d}"
    if left < ENDS_SOON_DAYS:
        do = "renew the broker's certificate now: `stayby store renew`"
        return wrong(_named("TLS"), says, do, tls_ms=took_ms, broker_certificate_days=left)
    return well(_named("TLS"), says, tls_ms=took_ms, broker_certificate_days=left)


def _mqtt(config: UnitConfig, is_us: Callable[[], bool]) -> Iterator[Check]:
    try:
        proof = prove(config, is_us=is_us)
    except NotProven as error:
        says, _, do = str(error).partition("; ")
        signed_in = "acl" in do  # the broker's rules are met only behind the sign-in
        if signed_in:
            yield well(_named("sign-in"), "signed in")
        yield wrong(_named(HOPS[-1] if signed_in else HOPS[-2]), says, do or "look at the broker's log")
        return
    signed = f"signed in after {1000 * proof.connected_s:.0f} ms"
    yield well(_named("sign-in"), signed, sign_in_ms=1000 * proof.connected_s)
    yield _there_and_back(proof)


def _there_and_back(proof: Proof) -> Check:
    back_ms = 1000 * proof.there_and_back_s
    others = "; it may write for no other unit" if proof.others_refused else ""
    return well(_named("own topic"), f"written and read back in {back_ms:.0f} ms{others}", there_and_back_ms=back_ms)


# --- certificates -----------------------------------------------------------------------------------------------------


def certificates(broker: BrokerSection, now: datetime | None = None) -> Iterator[Check]:
    """Yield when our own certificate and the store's authority end."""
    now = now or datetime.now(UTC)
    for name, path in (("certificate", broker.cert_file), ("store's authority", broker.ca_file)):
        if path is None:
            yield untested(name, "this unit signs in by a password, and has none")
        else:
            yield _ends(name, path, now)


def _ends(name: str, path: Path, now: datetime) -> Check:
    try:
        found = list(validities(path.read_text("ascii", errors="replace")))
    except OSError as error:
        return wrong(name, f"{path}: {error.strerror}", "run it with sudo, or put the file there")
    except BadCertificate as error:
        return wrong(name, f"{path}: {error}", "put the store's own file there again")
    if not found:
        return wrong(name, f"{path} holds no certificate", "put the store's own file there again")
    ends, begins = min(one.ends for one in found), max(one.begins for one in found)
    days = (ends - now).total_seconds() / DAY_S
    if begins > now:
        return wrong(name, f"not valid before {begins:%Y-%m-%d}", "set this machine's clock", days_left=days)
    if days >= ENDS_SOON_DAYS:
        return well(name, f"valid until {ends:%Y-%m-%d}", days_left=days)
    says = f"ended on {ends:%Y-%m-%d}" if days < 0 else f"ends on {ends:%Y-%m-%d}, in {days:.0f} days"
    return wrong(name, says, "the store's manager renews it: `stayby store renew`", days_left=days)


def link_addresses(root: Path = ROOT) -> dict[str, str]:
    """Return the hardware address of each network port."""
    found = {}
    for path in sorted(root.glob("sys/class/net/*")):
        with contextlib.suppress(OSError):
            found[path.name] = (path / "address").read_text(encoding="ascii").strip()
    return {name: address for name, address in found.items() if name != "lo" and address}
