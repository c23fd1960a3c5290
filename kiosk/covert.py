"""The covert phrase that a store chose: which it may be, and what is said of a wrong one.

Rules
- A wrong choice is a fault that lists the right ones, and never a reason to listen for nothing.
"""

from kiosk.detection import Manifest


def covert_choices(manifest: Manifest) -> tuple[str, ...]:
    """Return the ids that `[listen] covert_phrase` may name."""
    return tuple(phrase.id for phrase in manifest.phrases if phrase.covert)


def wrong_choice(manifest: Manifest, chosen: str | None) -> tuple[str, str] | None:
    """Return what is wrong with the `chosen` covert phrase and what to do now, or None."""
    choices = covert_choices(manifest)
    if chosen is None or chosen in choices:
        return None
    do = f"choose one of: {', '.join(choices)}" if choices else "leave the setting out"
    says = "is not a covert phrase of this model" if choices else "cannot be: this model has no covert phrases"
    return f"{chosen[:40]!r} {says}", do
