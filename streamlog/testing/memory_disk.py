"""A disk in memory: files and directories by number, and who has locked what."""

from __future__ import annotations

from streamlog.testing.journal import Image, Link, Operation


class HeldLock:
    """Who holds which bytes of a file, and how. `owner` is an open file description."""

    __slots__ = ("end", "exclusive", "owner", "start")

    def __init__(self, owner: int, start: int, end: int, *, exclusive: bool) -> None:
        self.owner, self.start, self.end, self.exclusive = owner, start, end, exclusive


class MemoryFile:
    """An inode. `buffer` is shared with images until the first change; it may exceed `size`."""

    __slots__ = ("buffer", "changes", "is_mapped", "locks", "number", "size")

    def __init__(self, number: int, data: bytes = b"") -> None:
        self.number = number
        self.buffer: bytes | bytearray = data
        self.size = len(data)
        self.changes = 0
        self.is_mapped = False
        self.locks: list[HeldLock] = []

    def own(self, size: int) -> bytearray:
        """The buffer, writable and with at least `size` bytes."""
        if not isinstance(self.buffer, bytearray):
            self.buffer = bytearray(self.buffer)
        if len(self.buffer) < size:
            assert not self.is_mapped, "a mapped file outgrew the room that the fake keeps for it"
            self.buffer.extend(bytes(size - len(self.buffer)))
        self.changes += 1
        return self.buffer

    def resize(self, size: int) -> None:
        buffer = self.own(size)
        if size < self.size:
            buffer[size : self.size] = bytes(self.size - size)
        self.size = size


class MemoryDirectory:
    """An inode with names."""

    __slots__ = ("names", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.names: dict[str, MemoryFile | MemoryDirectory] = {}


class MemoryDisk:
    """What all processes of the fake machine share."""

    def __init__(
        self, image: Image, boot: int, journal: list[Operation] | None, base: Image
    ) -> None:
        self.boot = boot
        self.journal = journal
        self.root = MemoryDirectory(1)
        used = [operation.node for operation in journal or () if isinstance(operation, Link)]
        used += [number for number, _ in base.entries.values()]
        self.next_inode = max(used, default=1) + 1
        self.next_descriptor = 3
        directories = {"/": self.root}
        nodes: dict[int, MemoryFile] = {}
        for path, (number, data) in image.entries.items():
            self.next_inode = max(self.next_inode, number + 1)
            if path == "/":
                continue
            parent, _, name = path.rpartition("/")
            node: MemoryFile | MemoryDirectory
            if data is None:
                node = directories[path] = MemoryDirectory(number)
            else:
                node = nodes[number] = nodes.get(number) or MemoryFile(number, data)
            directories[parent or "/"].names[name] = node

    def image(self) -> Image:
        """All of it as processes see it now."""
        entries: dict[str, tuple[int, bytes | None]] = {"/": (self.root.number, None)}
        pending: list[tuple[str, MemoryDirectory]] = [("", self.root)]
        for prefix, directory in pending:
            for name, node in directory.names.items():
                path = f"{prefix}/{name}"
                if isinstance(node, MemoryDirectory):
                    entries[path] = (node.number, None)
                    pending.append((path, node))
                else:
                    entries[path] = (node.number, bytes(node.buffer[: node.size]))
        return Image(entries)
