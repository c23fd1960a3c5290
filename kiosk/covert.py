"""Which of a model's phrases are listened for: all that call openly, and the covert one that the store chose.

Rules
- A covert phrase that was not chosen is inactive: it never fires, and counts as "none of them".
- A wrong choice is a fault that lists the right ones, and never a reason to listen for nothing.
"""

from kiosk.detection import Manifest


def covert_choices(manifest: Manifest) -> tuple[str, ...]:
    """Return the ids that `[listen] covert_phrase` may name."""
    return tuple(phrase.id for phrase in manifest.phrases if phrase.covert)


def active_phrases(manifest: Manifest, chosen: str | None) -> frozenset[str]:
    """Return the ids that count: every open phrase, and the covert one that is `chosen`, if the model has it."""
    return frozenset(phrase.id for phrase in manifest.phrases if not phrase.covert or phrase.id == chosen)


def wrong_choice(manifest: Manifest, chosen: str | None) -> tuple[str, str] | None:
    """Return what is wrong with the `chosen` covert phrase and what to do now, or None."""
    choices = covert_choices(manifest)
    if chosen is None or chosen in choices:
        return None
    do = f"choose one of: {', '.join(choices)}" if choices else "leave the setting out"
    says = "is not a covert phrase of this model" if choices else "cannot be: this model has no covert phrases"
    return f"{chosen[:40]!r} {says}", do
