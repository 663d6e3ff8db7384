"""What is known here of a cluster: how each kind is followed, what was not understood, what is withheld."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from control.index.index import Index
from control.kube.reflector import LOOK_S, SILENT_S
from control.kube.source import KindState, Refused
from control.model.check import Check, State
from control.model.objects import Key
from meshproxy.kit.age import shown

MAX_TOLD = 100
"""Of objects not understood, of Services with endpoints withheld; how many more there are is told."""
MAX_NAMED = 3
"""Of a Service's endpoints."""
LOST_S = 120.0
"""What was heard of so recently may be on its way back: API servers are restarted now and then."""

OBJECTS = "Objects"
CONFIGURATION = "Configuration"

_WAIT = "it is tried again until it works; see the API server and the rights above, and the control plane's log"


def kind(state: KindState) -> Check:
    """Tell how a kind is followed."""
    if state.phase == "absent":
        return Check(OBJECTS, state.kind, "ok", f"none, since the kind is not installed; looked for every {LOOK_S:g} s")
    because = f": {state.failure}" if state.failure else ""
    if not state.is_listed:
        found: State = "fail" if state.failure else "warn"
        return Check(
            OBJECTS, state.kind, found, f"not listed yet, and no sidecar is served until it is{because}", _WAIT
        )
    number = "1 object" if state.objects == 1 else f"{state.objects} objects"
    known = f"{number} of {state.api_version}, heard {shown(state.heard_age_s)} ago"
    if state.phase == "watching" and state.heard_age_s <= SILENT_S:
        return Check(OBJECTS, state.kind, "ok", known)
    if state.phase == "listing" and state.heard_age_s <= LOST_S:
        return Check(OBJECTS, state.kind, "ok", f"{known}, listed anew at present")
    found = "warn" if state.heard_age_s <= LOST_S else "fail"
    text = f"not followed at present{because}; what is known stays in effect: {known}"
    return Check(OBJECTS, state.kind, found, text, _WAIT)


def objects(refused: Sequence[Refused], ignored: Sequence[Refused], states: Iterable[KindState]) -> list[Check]:
    """Tell which objects are not understood, or not wholly; the states of their kinds say how many there are in all."""
    states = list(states)
    if not refused and not ignored:
        # Of what was not read nothing can be said.
        are_read = all(state.is_listed for state in states)
        text = "all objects, and nothing in them had to be ignored"
        return [Check(OBJECTS, "understood", "ok", text)] if are_read else []
    advice = "look at it by kubectl get -o yaml, and correct what is named"
    known = "the rest of it is in effect; what is named is of a newer CRD than is known here, or cannot be used"
    return [
        *_named(refused, "fail", "counts as absent: ", advice, sum(state.refused for state in states)),
        *_named(ignored, "warn", "ignored: ", known, sum(state.ignored for state in states)),
    ]


def _named(items: Sequence[Refused], state: State, text: str, hint: str, count: int) -> list[Check]:
    found = [
        Check(OBJECTS, f"{item.kind} {item.key}", state, f"{text}{item.message}", hint) for item in items[:MAX_TOLD]
    ]
    more = [Check(OBJECTS, "and more", state, f"{count - len(found)} objects", hint)] if count > len(found) else []
    return found + more


def withheld(index: Index) -> Generator[None, None, list[Check]]:
    """Tell which Services have endpoints that are left out until their Pods are known; yields after each slice."""
    services: dict[Key, list[str]] = {}
    for slice_ in list(index.slices.values()):
        yield
        for item in index.withheld(slice_):
            services.setdefault(item.service, []).append(f"{item.address} (Pod {item.pod}, uid {item.uid})")
    if not services:
        return [Check(CONFIGURATION, "endpoints", "ok", "none is withheld: the Pods behind them are known")]
    found = [_withheld(service, endpoints) for service, endpoints in sorted(services.items())[:MAX_TOLD]]
    if len(services) > MAX_TOLD:
        found.append(Check(CONFIGURATION, "and more", "warn", f"{len(services) - MAX_TOLD} Services"))
    return found


def _withheld(service: Key, endpoints: list[str]) -> Check:
    count = "1 endpoint is" if len(endpoints) == 1 else f"{len(endpoints)} endpoints are"
    more = f" and {len(endpoints) - MAX_NAMED} more" if len(endpoints) > MAX_NAMED else ""
    text = f"{count} withheld until the Pod with this uid is known: {', '.join(endpoints[:MAX_NAMED])}{more}"
    hint = f"for a moment this is normal; if it lasts: kubectl get pods -n {service.namespace} -o wide"
    return Check(CONFIGURATION, f"Service {service}", "warn", text, hint)
