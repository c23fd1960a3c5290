"""Says how the unit is by what its hub knows: staff, ear, button, and every fault that is open.

Rules
- Pure: one answer of the hub in, records out. The hub measures; nothing here asks a device.
- A hub that does not answer is one thing wrong, and all that only it knows is not tested.
"""

from collections.abc import Iterator

from kiosk.doctor.record import Check, untested, well, wrong
from kiosk.messages import ButtonHealth, Ear, Hearing, Reach, State, StatusAnswer

ASKED_OF_HUB = ("staff", "microphone", "button", "button loop", "button link", "last proven", "self proven")
LOUD_DBFS = -40.0
"""A room whose stillest seconds are louder than this covers a call from two metres away; see docs/ear.md."""
BAD_PERMILLE, SLOW_MS = 20, 150.0
"""Of frames on the button's cable: beyond this a plug or a cable is bad, though everything is said again until it arrives."""


def hub_down(why: str) -> Iterator[Check]:
    """Yield that the hub does not answer."""
    restart = "sudo systemctl restart stayby-alertd; then journalctl -u stayby-alertd -n 20"
    yield wrong("hub", why, "run it with sudo" if "Permission denied" in why else restart)
    for name in ASKED_OF_HUB:
        yield untested(name, "only the hub knows, and it does not answer")


def unit(answer: StatusAnswer, *, has_button: bool, has_ear: bool) -> Iterator[Check]:
    """Yield all that the hub's answer tells, each open fault last."""
    status = answer.status
    open_now = "" if answer.incident is None else f"; an alert is open now ({answer.incident.state})"
    waiting = {"unsent": answer.unsent, "faults": len(status.faults)}
    yield well("hub", f"{status.place} ({status.store}/{status.unit}) is on duty{open_now}", **waiting)
    yield _staff(answer)
    yield _microphone(answer, has_ear=has_ear)
    yield from _button(answer, has_button=has_button)
    yield _proven(answer)
    yield _self_proven(answer)
    for fault in status.faults:
        yield wrong(f"fault {fault.code}", f"{fault.where}: {fault.says}", fault.do)


def _staff(answer: StatusAnswer) -> Check:
    count = len(answer.listeners)
    if answer.reach is Reach.OK:
        return well(
            "staff", f"{', '.join(one.name for one in answer.listeners)} would see an alert now", listening=count
        )
    if answer.reach is Reach.NOBODY:
        return wrong(
            "staff", "nobody would see an alert now", "open the board on a phone, sign in, leave it lit", listening=0
        )
    return wrong("staff", "staff cannot be reached: no broker", "mend the network first, see above", listening=0)


# --- the ear ----------------------------------------------------------------------------------------------------------


def _microphone(answer: StatusAnswer, *, has_ear: bool) -> Check:
    ear = answer.ear
    if not has_ear:
        return untested("microphone", "this unit has none: there is no [listen] in kiosk.toml")
    if ear is None:
        do = "sudo systemctl restart stayby-listen; then journalctl -u stayby-listen -n 20"
        return wrong("microphone", "the voice part does not answer", do)
    if ear.state is Hearing.LISTENING:
        return _level(ear)
    if ear.state is Hearing.DEAF:
        first = ear.faults[0] if ear.faults else None
        says = first.says if first else "it hears nothing"
        return wrong("microphone", says, first.do if first else "journalctl -u stayby-listen -n 20")
    why = {
        Hearing.PAUSED: "a person at the desk paused it; it comes back by itself",
        Hearing.OFF: "it is off at this hour",
    }
    return untested("microphone", why[ear.state])


def _level(ear: Ear) -> Check:
    if ear.level_dbfs is None or ear.noise_dbfs is None:
        return untested("microphone", "it listens, and has not measured the room yet", "ask again in 30 s")
    measured = {"level_dbfs": ear.level_dbfs, "noise_dbfs": ear.noise_dbfs, "gaps": float(ear.gaps)}
    says = f"listening; level {ear.level_dbfs:.0f} dBFS, noise of the room {ear.noise_dbfs:.0f} dBFS"
    if ear.noise_dbfs > LOUD_DBFS:
        do = "move it away from fan, fridge or loudspeaker, or lower its gain in alsamixer; then `stayby listen --calibrate`"
        return wrong("microphone", f"{says}: too loud to hear a voice in it", do, **measured)
    return well("microphone", says, **measured)


# --- the button -------------------------------------------------------------------------------------------------------


def _button(answer: StatusAnswer, *, has_button: bool) -> Iterator[Check]:
    button = answer.button
    names = ("button", "button loop", "button link")
    if not has_button or button is None:
        yield from (untested(name, "this unit has none: there is no [button] in kiosk.toml") for name in names)
        return
    if not button.up:
        yield wrong("button", button.says or f"no answer on {button.port}", "look at its plug; then `stayby button`")
        yield from (untested(name, "the button does not answer") for name in names[1:])
        return
    yield well("button", f"firmware {button.firmware}, build {button.build}; {button.presses} presses since its start")
    yield _loops(button)
    yield _link(answer, button)


def _loops(button: ButtonHealth) -> Check:
    loops = {"open": (button.loop, button.loop_volts), "covert": (button.covert_loop, button.covert_volts)}
    volts = {f"{name}_volts": value for name, (_, value) in loops.items() if value is not None}
    said = ", ".join(f"{name} {word}" + ("" if v is None else f" {v:.2f} V") for name, (word, v) in loops.items())
    if all(word == "normal" for word, _ in loops.values()):
        return well("button loop", said, **volts)
    do = "`stayby button` shows it live while you move cable and plug; 4.7 kOhm belongs at the end of each"
    return wrong("button loop", said, do, **volts)


def _link(answer: StatusAnswer, button: ButtonHealth) -> Check:
    link = answer.status.link
    bad = link.button_bad if link is not None else None
    trip = button.round_trip_worst_ms
    measured = {name: float(value) for name, value in (("bad_permille", bad), ("worst_ms", trip)) if value is not None}
    if bad is None or trip is None:
        return untested("button link", "not measured yet", "ask again in a minute")
    says = f"{bad} of 1000 frames damaged or said again; an answer took at most {trip:.0f} ms"
    if bad > BAD_PERMILLE or trip > SLOW_MS:
        do = "another cable, shorter or screened, away from power cables; look at both plugs"
        return wrong("button link", says, do, **measured)
    return well("button link", says, **measured)


def _proven(answer: StatusAnswer) -> Check:
    at = answer.status.last_proven
    if at is None:
        return untested("last proven", "never yet by an answered opening press", "begin one on the board: Practise")
    return well("last proven", f"by an answered opening press, {at.astimezone():%Y-%m-%d %H:%M}", unix_s=at.timestamp())


def _self_proven(answer: StatusAnswer) -> Check:
    at = answer.status.self_proven
    if at is None:
        return untested("self proven", "never yet by the daily proof", "run: sudo stayby prove")
    return well("self proven", f"by the daily proof, {at.astimezone():%Y-%m-%d %H:%M}", unix_s=at.timestamp())


def idle(answer: StatusAnswer | None) -> bool:
    """Return whether nothing is open and nobody is asked to press: the only time in which anything may be tried out."""
    return (
        answer is not None
        and not answer.status.opening
        and not answer.proving
        and (answer.incident is None or answer.incident.state is State.CLOSED)
    )
