"""Small cells in plain Python, read off quality_improvement.md 1.8; shares no code with SQL."""

from collections.abc import Callable, Iterable

Key = tuple[str, ...]
Set = tuple[Key | None, list[Key]]  # the total's key (none: implied), and the siblings


def hidden_cells(
    people: dict[Key, int],
    minimum: int,
    directions: list[Callable[[], Iterable[Set]]],
    place: list[int],
    before: frozenset[Key] = frozenset(),
) -> frozenset[Key]:
    """Return the keys that are hidden.

    Args:
        people: n_clients of each row (for a share: its denominator).
        minimum: the smallest number that is shown.
        directions: the sibling sets of each direction, in the order of protection.
        place: which part of the key tells siblings of a direction apart.
        before: rows hidden whole, for a share.
    """
    hidden = {k for k, n in people.items() if 0 < n < minimum} | set(before)
    while True:
        start = set(hidden)
        for direction, part in zip(directions, place, strict=True):
            for total, siblings in direction():
                _protect(hidden, people, minimum, total, siblings, part)
        if hidden == start:
            return frozenset(hidden)


def _protect(
    hidden: set[Key],
    people: dict[Key, int],
    minimum: int,
    total: Key | None,
    siblings: list[Key],
    part: int,
) -> None:
    while total is None or total not in hidden:
        with_people = [key for key in siblings if people[key] > 0]
        gone = [key for key in with_people if key in hidden]
        if not gone:
            return
        summed = sum(people[key] for key in gone)
        if len(gone) > 1 and summed >= minimum - 1 + len(gone):
            return
        left = [key for key in with_people if key not in hidden]
        if left:
            hidden.add(min(left, key=lambda key: (people[key], key[part])))
        elif total is not None:
            hidden.add(total)
        else:
            return
