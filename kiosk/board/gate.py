"""What the board's pages may ask of whoever let a person in: who it is, and whether a form came from our own page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from kiosk.messages import Person


@dataclass(frozen=True)
class Account:
    """A person who is signed in."""

    person: Person
    manager: bool = False


class Gate(Protocol):
    """The one door of the board. What may not be is raised, and answered in plain words."""

    def account(self, request: Request) -> Account:
        """Return who is signed in; who is not is sent to sign in."""

    def manager(self, request: Request) -> Account:
        """Return the manager who is signed in; anybody else is turned away."""

    async def form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form that a signed-in person sent from one of our own pages; else turned away."""

    def html(self, request: Request, template: str, **facts: Any) -> Response:
        """Return a page made from `templates/`, with who is signed in, and all that every page carries."""
