"""The page that a manager prints for the technician of one unit: what to type, the code, and where the claim lies."""

from datetime import datetime

import segno
from jinja2 import Environment, StrictUndefined

from kiosk.store_config import StoreConfig

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ place }}: join</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; color: #111;
  background: #fff; overflow-wrap: anywhere }
h1 { margin-bottom: 0 } code { font: 700 1.1rem monospace }
.code { font-size: clamp(1.2rem, 6.5vw, 2rem); letter-spacing: .08em; white-space: nowrap }
svg { width: 11rem; height: 11rem } li { margin: .6rem 0 }
</style>
<h1>{{ place }}</h1>
<p>{{ store_name }} · unit <strong>{{ unit }}</strong></p>
<ol>
<li>On the unit, in the store’s network, type:<br><code>sudo stayby join {{ short }}</code>
<li>It asks for the code. Type it; it does not show:<br><code class="code">{{ code }}</code>
<li>No network yet? Put the file <code>{{ unit }}.claim</code> on a USB stick, plug it in, and type:<br>
<code>sudo stayby join</code>
</ol>
<p>The code holds until <strong>{{ ends }}</strong>. It is for this unit alone, and for one machine.
<p><strong>Keep this page from others.</strong> Who has it can take this unit’s place. Tear it up when the unit has joined.
<p>{{ qr | safe }}<br>The claim, for a phone that carries it on: {{ address }}
</html>
"""


def paper(store: StoreConfig, unit: str, code: str, address: str, ends: datetime) -> str:
    """Return the page as HTML that needs no other file."""
    place = next(one.place for one in store.unit if one.id == unit)
    qr = segno.make(address, error="m").svg_inline(omitsize=True, border=4)
    facts = {"place": place, "store_name": store.store.name, "unit": unit, "code": code, "address": address}
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(PAGE)
    return page.render(**facts, short=address.removeprefix("https://"), ends=f"{ends.day} {ends:%B %Y}", qr=qr) + "\n"
