"""The outgoing webhook: a signed POST, as Standard Webhooks (1.0) describe it.

The receiver checks `webhook-signature` ("v1," and the Base64 of HMAC-SHA256 over "id.timestamp.body") and counts each
`webhook-id` once. No redirect is followed, no proxy of the environment is used, and the whole exchange has `TELL_S`.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from kiosk.relay.notice import Notice
from kiosk.relay.way import NotTold, way_key
from kiosk.store_config import WebhookSection

TELL_S = 15.0
CONNECT_S = 5.0
WAIT_MOST_S = 300.0
WHSEC = "whsec_"
GONE = 410
MOVED = range(300, 400)


def secret_bytes(secret: str) -> bytes:
    """Return the key of a secret: the Base64 after "whsec_", else the text itself. Raises `ValueError`."""
    if not secret.startswith(WHSEC):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(WHSEC), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is no Base64; copy the whole secret") from None


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def body(notice: Notice) -> bytes:
    """Return what is posted; the same bytes however often."""
    facts = notice.facts.model_dump(mode="json")
    data = {**facts, "urgency": notice.urgency, "title": notice.title, "text": notice.text, "notice": notice.secondary}
    told = {"type": f"incident.{notice.change}", "timestamp": notice.at.isoformat(), "data": data}
    return json.dumps(told, ensure_ascii=False).encode()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or "no PEM certificate in it"
        raise NotTold(f"ca_file {ca_file}: {why}; put the authority's certificate there") from None


def _retry_after_s(response: httpx.Response) -> float | None:
    wanted = response.headers.get("retry-after", "")
    return min(float(wanted), WAIT_MOST_S) if wanted.isdecimal() else None


class Webhook:
    """One [[webhook]] of store.toml. Raises `ValueError` for a secret that is none."""

    def __init__(self, section: WebhookSection, number: int) -> None:
        where = urlsplit(section.url)
        self.name = f"webhook {number} ({where.hostname})"
        self.key, self.silent = way_key("webhook", section.url), section.silent
        self._url, self._ca_file = section.url, section.ca_file
        self._secret = secret_bytes(section.secret.get_secret_value())

    def tell(self, notice: Notice) -> None:
        """Post the notice; whatever is not answered 2xx in time raises `NotTold`."""
        payload, now_s = body(notice), int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "stayby-relay",
            "webhook-id": notice.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self._secret, notice.id, now_s, payload),
        }
        try:
            response = asyncio.run(asyncio.wait_for(self._post(payload, headers), TELL_S))
        except TimeoutError:
            raise NotTold(f"no answer in {TELL_S:g} s; look at the receiver and the network") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotTold(f"{error or type(error).__name__}; check the address, the receiver and the network") from None
        self._judge(response)

    async def _post(self, payload: bytes, headers: dict[str, str]) -> httpx.Response:
        timeout = httpx.Timeout(TELL_S, connect=CONNECT_S)
        client = httpx.AsyncClient(verify=_context(self._ca_file), timeout=timeout, trust_env=False)
        request: dict[str, Any] = {"content": payload, "headers": headers}
        async with client, client.stream("POST", self._url, **request) as response:
            return response  # its body is not read: whatever it says, the code is the answer

    @staticmethod
    def _judge(response: httpx.Response) -> None:
        code = response.status_code
        if response.is_success:
            return
        if code == GONE:
            raise NotTold("answered 410, it wants no more; take it out of store.toml", never=True)
        if code in MOVED:
            raise NotTold(f"answered {code}, it moved; redirects are not followed: set the new address in store.toml")
        raise NotTold(f"answered {code}; look at the receiver's log", again_in_s=_retry_after_s(response))

    def stop(self) -> None:
        """Nothing to end: what was not answered is told again."""
