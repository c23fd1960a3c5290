"""A message by ntfy, Gotify or another service that Apprise knows: plain text, urgency in the service's own measure.

Apprise is loaded on the way's own thread when there is something to tell: it is heavy, and nothing else waits for it.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kiosk.relay.notice import Notice, Urgency, plain
from kiosk.relay.way import NotTold, way_key
from kiosk.store_config import NotifySection

if TYPE_CHECKING:
    from apprise import Apprise

TELL_S = 15.0
SAID_LETTERS = 200
KINDS: dict[Urgency, str] = {"emergency": "failure", "check": "warning", "calm": "info"}
PRIORITIES: dict[str, dict[Urgency, str]] = {
    "ntfy": {"emergency": "max", "check": "high", "calm": "default"},
    "gotify": {"emergency": "emergency", "check": "high", "calm": "normal"},
}


def prioritised(url: str, urgency: Urgency) -> str:
    """Return the address with the urgency as this service measures it, unless the address sets a priority itself."""
    service = PRIORITIES.get(url.partition("://")[0].rstrip("s"))
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
        asset.async_mode = asset.http_redirects = False
        service = Apprise(asset=asset)
        if not service.add(prioritised(self._url, urgency)):
            raise NotTold("Apprise knows no such service; write url as its documentation has it")
        return service

    def tell(self, notice: Notice) -> None:
        """Send the message; raise `NotTold` when the service did not take it."""
        service = self._service(notice.urgency)
        if not service.notify(
            body=notice.text, title=notice.title, notify_type=KINDS[notice.urgency], body_format="text",
            interpret_escapes=False,
        ):  # fmt: skip
            raise NotTold("the service did not take it; check its address, its token and the network")

    def stop(self) -> None:
        """Nothing to end: what was not taken is told again."""
