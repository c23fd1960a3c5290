"""What a person can do while they wait: a few steps for each of the four choices, as data that a clinician can review.

Rules
- Every step names its source. Nobody has signed any of it off yet: `sign_off` says so, and a technician is shown it.
- Verb first, one thing at a time, at most 12 words a line and two lines under a headline, reading age 10.
- `{number}` is the emergency number of the place; nothing else is filled in.
- No medicine is advised but a person's own inhaler. No breathing pace: it is wrong for choking, chest and breath.
- "I don't feel safe" shows nothing that would give the person away to somebody who looks over their shoulder. Its steps
  open only by the person's own touch, never by what was heard.
"""

from dataclasses import dataclass

from kiosk.messages import Choice


@dataclass(frozen=True)
class Step:
    """One thing to do: a headline, up to two lines under it, and where it is taken from."""

    headline: str
    body: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Case:
    """The steps for one choice. `title` stands above each step.

    `told` is what the emergency card says of it, `heard` what it says while only a phrase suggests it.
    """

    title: str
    told: str
    steps: tuple[Step, ...]
    heard: str = ""
    sign_off: str = "none yet"


CASES: dict[Choice, Case] = {
    Choice.CHEST_OR_BREATHING: Case(
        title="Chest or breathing",
        told="Trouble with the chest or with breathing.",
        heard="Somebody spoke of the chest or of breathing.",
        steps=(
            Step(
                "Call {number} now.",
                ("Ask anyone near you to call.", "Touch the red button for what to say."),
                "St John Ambulance Cymru; NHS text on chest pain",
            ),
            Step(
                "Sit down. Sit upright.",
                ("Lean your back on something.", "Do not lie down."),
                "St John Ambulance Cymru (chest pain); Asthma + Lung UK (breathing)",
            ),
            Step(
                "Rest. Do not walk.",
                ("Loosen tight clothes.",),
                "St John Ambulance Cymru; Australian Red Cross",
            ),
            Step(
                "Use your own inhaler, if you have one.",
                ("Use it as you were shown.",),
                "Asthma + Lung UK text",
            ),
        ),
    ),
    Choice.SOMEONE_HURT: Case(
        title="Someone is hurt",
        told="Someone is hurt.",
        heard="Somebody spoke of a person who is unwell or hurt.",
        steps=(
            Step(
                "Collapsed, not breathing normally? Call {number}.",
                ("Push hard and fast in the middle of the chest.", "Send someone for the defibrillator."),
                "NHS text on CPR",
            ),
            Step(
                "Keep them still. Do not lift them.",
                ("Keep the head and neck still.",),
                "NHS text on falls",
            ),
            Step(
                "Press hard on any bleeding.",
                ("Use a cloth. Do not stop.", "Leave in anything that is stuck in."),
                "British Red Cross; selfinjurysupport",
            ),
            Step(
                "Keep them warm. Talk to them.",
                ("Stay with them.",),
                "NHS text on falls",
            ),
        ),
    ),
    Choice.NOT_SAFE: Case(
        title="While you wait",
        told="",
        steps=(
            Step(
                "Keep your distance.",
                ("Leave the way out clear.",),
                "Security-trade guidance on robbery",
            ),
            Step(
                "Ask staff for a quiet room.",
                ("You can speak to them alone.", "Ask for a phone if you want one."),
                "Ask for ANI",
            ),
            Step(
                "Do not argue. Do not follow.",
                ("Call {number} when you can.",),
                "Security-trade guidance on robbery",
            ),
        ),
    ),
    Choice.SOMETHING_ELSE: Case(
        title="While you wait",
        told="",
        steps=(
            Step(
                "Stay here. Sit if you can.",
                ("Take your time.",),
                "WHO psychological first aid: look, listen, link",
            ),
            Step(
                "Tell a person near you.",
                ("Say what would help you now.",),
                "WHO psychological first aid; NHS and Mind as quoted",
            ),
            Step(
                "Lost a child? Say what they wear.",
                ("Tell the staff about the shoes too.", "Ask people to watch the doors."),
                "Code Adam",
            ),
            Step(
                "Call {number} if it gets worse.",
                ("Touch the red button for what to say.",),
                "WHO psychological first aid",
            ),
        ),
    ),
}
