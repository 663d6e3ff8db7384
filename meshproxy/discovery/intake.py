"""What is pushed, made into entries that the traffic side may rely on: decoded, patched, checked."""

from __future__ import annotations

from meshproxy.policy.route import RouteTable
from meshproxy.wire.address import address_problem, endpoint_order, format_place
from meshproxy.wire.check import check_resource
from meshproxy.wire.problem import Problem
from meshproxy.wire.resources import Endpoint, Endpoints, Routes
from meshproxy.wire.snapshot import Entry, check_version, decode_entry
from meshproxy.wire.stream import Patch, Update


def read_update(update: Update, former: Entry | None, problems: list[Problem]) -> Entry | None:
    """Make the entry of an update of a known kind; None when something was added to `problems`.

    `former` is the version that a patch must be against.
    """
    if update.patch is None:
        entry = decode_entry(update.name, update.version, update.resource, problems)
    elif update.resource:
        problems.append(Problem(update.name, "", "has a resource and a patch; allowed: one of the two"))
        entry = None
    else:
        entry = _patched(update, update.patch, former, problems)
    return entry if entry is not None and accept(entry, problems) else None


def accept(entry: Entry, problems: list[Problem]) -> bool:
    """Tell whether an entry is consistent in itself, and can be compiled; else add to `problems`."""
    found = check_resource(entry.name, entry.resource)
    if not found and isinstance(entry.resource, Routes):
        try:
            RouteTable(entry.resource)
        except ValueError as error:
            found = [Problem(entry.name, "", str(error))]
    problems.extend(found)
    return not found


def _patched(update: Update, patch: Patch, former: Entry | None, problems: list[Problem]) -> Entry | None:
    if not check_version(update.name, update.version, problems):
        return None
    if former is None or not isinstance(former.resource, Endpoints):
        problems.append(Problem(update.name, "patch", "there are no endpoints that it could be a change of"))
        return None
    if former.version != patch.base:
        message = f"is against version {patch.base[:128]!r}, held is {former.version!r}"
        problems.append(Problem(update.name, "patch.base", message))
        return None
    found: list[Problem] = []
    endpoints = apply_patch(former.resource.endpoints, patch, update.name, found)
    problems.extend(found)
    return None if found else Entry(name=update.name, version=update.version, resource=Endpoints(endpoints=endpoints))


def apply_patch(endpoints: list[Endpoint], patch: Patch, name: str, problems: list[Problem]) -> list[Endpoint]:
    """Return the endpoints, sorted, with a patch's put in and taken out; contradictions are added to `problems`."""
    places = {format_place((endpoint.address, endpoint.port)): endpoint for endpoint in endpoints}
    for i, place in enumerate(patch.remove):
        if places.pop(place, None) is None:
            problems.append(Problem(name, f"patch.remove[{i}]", f"{place[:64]!r} is not there, or stands twice"))
    told = set(patch.remove)
    for i, endpoint in enumerate(patch.upsert):
        place = format_place((endpoint.address, endpoint.port))
        if message := address_problem(endpoint.address):
            problems.append(Problem(name, f"patch.upsert[{i}].address", message))
        elif place in told:
            problems.append(Problem(name, f"patch.upsert[{i}]", f"{place} stands twice in the patch"))
        places[place] = endpoint
        told.add(place)
    if problems:
        return []
    return sorted(places.values(), key=lambda endpoint: endpoint_order(endpoint.address, endpoint.port))
