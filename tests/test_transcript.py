"""The technician's page and its transcript: the same commands in order, nothing secret; each link of the documents leads on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.newcomer import clean, commands, shortened

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGE, TRANSCRIPT = DOCS / "technician.md", DOCS / "transcript.md"


def typed(transcript: str) -> list[str]:
    return re.findall(r"^kim@desk-3:~\$ (.*)$", transcript, flags=re.MULTILINE)


def test_the_transcript_is_of_the_page_as_it_stands() -> None:
    assert typed(TRANSCRIPT.read_text()) == [line for _, line in commands(PAGE.read_text())]
    assert len(typed(TRANSCRIPT.read_text())) > 15


def test_the_transcript_tells_no_secret_and_no_machine() -> None:
    text = TRANSCRIPT.read_text()
    assert re.findall(r"/srv/|stayby-newcomer|BEGIN [A-Z ]*KEY|/invite/\w|[█▄▀]", text) == []
    codes = re.findall(r"^code: +(\S+)$", text, flags=re.MULTILINE)
    assert codes
    assert set(codes) == {"····-····-····"}


def test_the_certificate_of_the_transcript_is_genuine_and_everything_works() -> None:
    text = TRANSCRIPT.read_text()
    assert re.search(r"commissioning-desk-3-\d{8}-\d{4}\.json: genuine, signed by unit-desk-3\.", text)
    assert "Everything works." in text


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        ("sudo apt install ./stayby_*.deb", "1. "),
        ("sudo stayby walktest --by Kim --agreed Alex --out certificates", "7. "),
    ],
)
def test_a_command_stands_under_its_step(line: str, begins: str) -> None:
    (step,) = [step for step, one in commands(PAGE.read_text()) if one == line]
    assert step.startswith(begins)


def test_what_a_terminal_shows_is_kept_without_what_it_wrote_over() -> None:
    assert clean("10 %\r20 %\rdone\x07\r\n\x1b[32mOK\x1b[0m  \r\nend") == "done\nOK\nend"
    assert list(shortened(["Get:1 (Debian) x", "kept", "Setting up x"])) == ["kept"]
    assert list(shortened([str(number) for number in range(100)]))[32] == "[… 36 lines …]"


def test_who_a_command_is_typed_as_may_read_the_configuration() -> None:
    users = {user for page in DOCS.glob("*.md") for user in re.findall(r"sudo -u (\S+) stayby", page.read_text())}
    members = re.findall(r"^m (\S+) +stayby$", (ROOT / "systemd/stayby.sysusers").read_text(), flags=re.MULTILINE)
    assert users
    assert users <= set(members), "its service has the group, and its user must have it too"


def links() -> Iterator[tuple[str, str]]:
    for document in sorted((*DOCS.glob("*.md"), ROOT / "README.md")):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)):
            if "://" not in target:
                yield str(document.relative_to(ROOT)), target


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "target"), sorted(set(links())))
def test_a_link_leads_somewhere(document: str, target: str) -> None:
    file, _, anchor = target.partition("#")
    there = (ROOT / document).parent / file if file else ROOT / document
    assert there.exists()
    assert not anchor or anchor in anchors(there)
