"""ntfy and Gotify: what a message says there, how urgent it is, and what a refusal means; with a real ntfy where there is one.

The receiver here takes what their documentation has, and nothing else.
- ntfy, https://docs.ntfy.sh/publish/: #publish-as-json (POST of JSON to the root address; `topic` alone is required; no keys but
  those of its table; a message of 4,096 bytes at most), #message-priority (1 min … 5 max, or the header `X-Priority`),
  #authentication (`Authorization: Bearer tk_…`), #limitations (429).
- Gotify, https://gotify.net/docs/pushmsg, https://gotify.net/api-docs: POST /message with `X-Gotify-Key`; `message` is required,
  `title` and a whole `priority` (0 … 10) are not; 400, 401 and 403 are its refusals.
"""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from pydantic import SecretStr

from kiosk.demo.broker import free_port
from kiosk.messages import Severity, State
from kiosk.relay.notice import SECONDARY, Facts, notice
from kiosk.relay.notify import Notify
from kiosk.relay.way import NotTold
from kiosk.store_config import NotifySection
from tests.board_parts import until
from tests.relay_parts import Receiver

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # a library of Apprise's
HERE = "127.0.0.1"
TOKEN, KEY = "tk_" + "a" * 29, "AbCdEfGhIjKlMnO"
PLACES = ["Service desk 3", "服务台三 · مكتب الخدمة", "सेवा डेस्क", "Käse & Brot <b>"]
JSON_KEYS = {
    "topic", "message", "title", "tags", "priority", "actions", "click", "attach", "markdown", "icon", "filename", "delay",
    "email", "call",
}  # fmt: skip
PRIORITY_WORDS = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5, "urgent": 5}
Post = tuple[str, dict[str, str], bytes]


def facts(place: str = PLACES[0], **more: Any) -> Facts:
    base = Facts(
        store="harbour", unit="desk-3", place=place, incident="one", revision=1, state=State.RAISED, severity=Severity.ALERT,
        request=False, drill=False, silent=False, nobody_answered=False, opened_at=datetime.now(UTC),
    )  # fmt: skip
    return base.model_copy(update=more)


URGENCIES = [
    ("emergency", facts(), (5, 10)),
    ("emergency", facts(severity=Severity.GRAVE), (5, 10)),
    ("check", facts(severity=Severity.CHECK), (4, 8)),
    ("calm", facts(state=State.COMING), (3, 5)),
    ("calm", facts(drill=True), (3, 5)),
]


def tell(url: str, about: Facts) -> None:
    way = Notify(NotifySection(url=SecretStr(url)), 1)
    way.tell(notice("msg_1", "opened", about, datetime.now(UTC)))


def ntfy_message(post: Post) -> dict[str, Any]:
    """Return topic, title, message and priority of a post to ntfy; what its documentation does not know fails."""
    path, headers, body = post
    told = json.loads(body)
    assert path == "/"
    assert set(told) <= JSON_KEYS
    assert re.fullmatch(r"[-_A-Za-z0-9]{1,64}", told["topic"])
    assert len(told["message"].encode()) <= 4096
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert {name for name in headers if name.startswith("x-")} <= {"x-priority"}, "an icon would be a stranger's"
    given = str(told.get("priority") or headers.get("x-priority", "default"))
    return {**told, "priority": PRIORITY_WORDS.get(given) or int(given)}


def gotify_message(post: Post) -> dict[str, Any]:
    """Return title, message and priority of a post to Gotify; what its documentation does not know fails."""
    path, headers, body = post
    told: dict[str, Any] = json.loads(body)
    assert path == "/message"
    assert headers["content-type"].partition(";")[0] == "application/json"
    assert headers["x-gotify-key"] == KEY
    assert set(told) <= {"title", "message", "priority", "extras"}
    assert told["message"]
    assert isinstance(told["priority"], int)
    return told


SERVICES: list[tuple[str, Callable[[Post], dict[str, Any]], int]] = [
    (f"ntfy://{TOKEN}@{HERE}:{{}}/desks", ntfy_message, 0),
    (f"gotify://{HERE}:{{}}/{KEY}", gotify_message, 1),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.mark.parametrize(("url", "read", "column"), SERVICES, ids=["ntfy", "gotify"])
def test_a_message_is_what_the_service_documents_with_the_urgency_in_its_own_measure(
    receiver: Receiver, url: str, read: Callable[[Post], dict[str, Any]], column: int
) -> None:
    for urgency, about, priorities in URGENCIES:
        assert about.urgency == urgency
        tell(url.format(receiver.port), about)
        assert read(receiver.posts[-1])["priority"] == priorities[column]
    for place in PLACES:
        tell(url.format(receiver.port), facts(place))
        told = read(receiver.posts[-1])
        assert told["title"] == f"Help now · {place}"
        assert told["message"] == f"Nobody is going yet.\n{SECONDARY}"
    tell(url.format(receiver.port) + "?priority=low", facts())
    assert read(receiver.posts[-1])["priority"] == (2, 0)[column], "the address has the last word"


@pytest.mark.parametrize("url", [url for url, _, _ in SERVICES], ids=["ntfy", "gotify"])
@pytest.mark.parametrize(
    ("code", "again", "says"),
    [
        (400, False, "answered 400, did not take it; look at the service's log (this notice is dropped)"),
        (401, False, "answered 401, does not know our user or token"),
        (403, False, "answered 403, does not let us write there"),
        (404, True, "answered 404, knows no such address"),
        (413, False, "answered 413, finds it too long"),
        (429, True, "answered 429, wants fewer messages"),
        (500, True, "answered 500, did not take it; look at the service's log"),
        (503, True, "answered 503"),
        (302, True, "answered 302"),
    ],
)
def test_what_may_pass_is_asked_again_and_what_is_refused_is_not(
    receiver: Receiver, url: str, code: int, again: bool, says: str
) -> None:
    receiver.answer = (code, {"location": f"http://{HERE}:{receiver.port}/elsewhere"})
    with pytest.raises(NotTold) as refused:
        tell(url.format(receiver.port), facts())
    assert str(refused.value).startswith(says)
    assert refused.value.never is not again
    assert TOKEN not in str(refused.value)
    assert KEY not in str(refused.value)
    assert len(receiver.posts) == 1, "one try, and no redirect followed"


def test_a_service_that_is_not_there_is_asked_again() -> None:
    with pytest.raises(NotTold, match="check its address and the network") as refused:
        tell(f"ntfy://{HERE}:{free_port(HERE)}/desks", facts())
    assert refused.value.never is False


# --- a real ntfy ------------------------------------------------------------------------------------------------------


class RealNtfy:
    """A ntfy of our own: nobody but one user may read and write, and only the topic `desks`."""

    def __init__(self, folder: Path, program: str) -> None:
        self.port, self.token = free_port(HERE), ""
        self._program, self._config, self._log = program, folder / "server.yml", folder / "log"
        self._config.write_text(
            f'base-url: "http://{HERE}:{self.port}"\nlisten-http: "{HERE}:{self.port}"\n'
            f'cache-file: "{folder}/cache.db"\nauth-file: "{folder}/user.db"\nauth-default-access: "deny-all"\n'
        )

    @contextlib.contextmanager
    def runs(self) -> Iterator[Self]:
        """Run it, with its user."""
        with (
            self._log.open("wb") as log,
            subprocess.Popen([self._program, "serve", "--config", self._config], stdout=log, stderr=log) as process,
        ):
            try:
                until(lambda: "Listening" in self._log.read_text())
                self._run("user", "add", "relay")
                self._run("access", "relay", "desks", "read-write")
                self.token = next(iter(re.findall(r"tk_\w+", self._run("token", "add", "relay"))))
                yield self
            finally:
                process.terminate()

    def _run(self, command: str, *words: str) -> str:
        whole = [self._program, command, "--config", str(self._config), *words]
        env = {"NTFY_PASSWORD": "harbour"}
        done = subprocess.run(whole, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def messages(self) -> list[dict[str, Any]]:
        """Return what a phone that looks now finds."""
        url, headers = f"http://{HERE}:{self.port}/desks/json?poll=1", {"authorization": f"Bearer {self.token}"}
        return [json.loads(line) for line in httpx.get(url, headers=headers, trust_env=False).text.splitlines()]


@pytest.fixture
def ntfy(tmp_path: Path) -> Iterator[RealNtfy]:
    program = shutil.which("ntfy")
    if program is None:
        pytest.skip("ntfy is not installed; Debian 13 has it: `sudo apt install ntfy`")
    with RealNtfy(tmp_path, program).runs() as running:
        yield running


@pytest.mark.parts
def test_a_real_ntfy_takes_it_and_its_refusals_are_understood(ntfy: RealNtfy) -> None:
    url = f"ntfy://{ntfy.token}@{HERE}:{ntfy.port}"
    tell(f"{url}/desks", facts(PLACES[1]))
    tell(f"{url}/desks", facts(state=State.COMING))
    loud, calm = ntfy.messages()
    assert (loud["title"], loud["priority"]) == (f"Help now · {PLACES[1]}", 5)
    assert loud["message"] == f"Nobody is going yet.\n{SECONDARY}"
    assert "priority" not in calm
    assert not {"icon", "attachment", "click"} & {*loud, *calm}
    with pytest.raises(NotTold, match="answered 403") as refused:
        tell(f"{url}/other", facts())
    assert refused.value.never
    with pytest.raises(NotTold, match="answered 401") as refused:
        tell(f"ntfy://{TOKEN}@{HERE}:{ntfy.port}/desks", facts())
    assert refused.value.never
