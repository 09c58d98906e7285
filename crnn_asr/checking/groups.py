"""Things that belong together, directly or through others: a forest, each tree a group (union-find)."""

from collections import defaultdict


class Groups:
    """Of the numbers from 0 to `size` - 1, each alone at first."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def join(self, one: int, other: int) -> None:
        """Put the groups of two numbers together."""
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low

    def members(self) -> list[list[int]]:
        """All groups, in the order of their first members; members ascend."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parent)):
            groups[self._root(index)].append(index)
        return list(groups.values())

    def _root(self, index: int) -> int:
        parent = self._parent
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index
