"""A message by ntfy, Gotify or another service that Apprise knows: plain text, urgency in the service's own measure.

Apprise is loaded on the way's own thread when there is something to tell: it is heavy, and nothing else waits for it.
"""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kiosk.relay.notice import Notice, Urgency, plain
from kiosk.relay.way import NotTold, way_key
from kiosk.store_config import NotifySection

if TYPE_CHECKING:
    from apprise import Apprise
    from apprise.result import AppriseResult

TELL_S = 15.0
CODE = re.compile(r"\berror=(\d{3})")
"""How Apprise says a service's answer; ntfy's own codes begin with the same three digits."""
REFUSED = frozenset(range(400, 500)) - {404, 408, 425, 429}
"""Answers after which the same request is refused again. 404 is not among them: a proxy says it while its server starts."""
WHY = {
    401: "does not know our user or token; correct url in store.toml",
    403: "does not let us write there; correct url in store.toml, or its rights",
    404: "knows no such address; correct url in store.toml",
    413: "finds it too long; look at its limits",
    429: "wants fewer messages; look at its limits",
}
KINDS: dict[Urgency, str] = {"emergency": "failure", "check": "warning", "calm": "info"}
PRIORITIES: dict[str, dict[Urgency, str]] = {
    "ntfy": {"emergency": "max", "check": "high", "calm": "default"},
    "gotify": {"emergency": "emergency", "check": "high", "calm": "normal"},
}


def prioritised(url: str, urgency: Urgency) -> str:
    """Return the address with the urgency as this service measures it, unless the address sets a priority itself."""
    service = PRIORITIES.get(url.partition("://")[0].lower().rstrip("s"))
    if service is None or "priority=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}priority={service[urgency]}"


class Notify:
    """One [[notify]] of store.toml."""

    def __init__(self, section: NotifySection, number: int) -> None:
        self._url = section.url.get_secret_value()
        self.name = f"notify {number} ({plain(urlsplit(self._url).scheme or 'no service')})"
        self.key, self.silent = way_key("notify", self._url), section.silent

    def _service(self, urgency: Urgency) -> "Apprise":
        from apprise import Apprise, AppriseAsset, PersistentStoreMode  # noqa: PLC0415 - heavy, and only this thread waits

        asset: Any = AppriseAsset(
            storage_mode=PersistentStoreMode.MEMORY, service_timeout=TELL_S, allow_templates=False
        )
        asset.app_id, asset.app_desc, asset.app_url = "Stayby", "Stayby, a secondary notice", ""
        asset.image_url_mask = ""  # else each phone fetches an icon from a stranger's server
        asset.async_mode = asset.http_redirects = False
        service = Apprise(asset=asset)
        if not service.add(prioritised(self._url, urgency)):
            raise NotTold("Apprise knows no such service; write url as its documentation has it")
        return service

    def tell(self, notice: Notice) -> None:
        """Send the message; raise `NotTold` when the service did not take it."""
        told = self._service(notice.urgency).notify(
            body=notice.text, title=notice.title, notify_type=KINDS[notice.urgency], body_format="text",
            interpret_escapes=False,
        )  # fmt: skip
        if not told:
            raise _not_told(told)

    def stop(self) -> None:
        """Nothing to end: what was not taken is told again."""


def _not_told(result: "AppriseResult") -> NotTold:
    """Return what a service's refusal means: whether it is asked again, and what to do."""
    codes = [int(found[1]) for entry in result.logs() if (found := CODE.search(entry.message))]
    if not codes:
        return NotTold("the service did not take it; check its address and the network")
    code = codes[-1]
    why = WHY.get(code, "did not take it; look at the service's log")
    dropped = " (this notice is dropped)" if code in REFUSED else ""
    return NotTold(f"answered {code}, {why}{dropped}", never=code in REFUSED)
