"""Every state that a disk may be in after the power went, from a journal of what was done to it.

`CrashDisk` follows a journal operation by operation and keeps, for everything that is not
synced, what each of its parts may be:

    a sector (512 bytes) of a file     any version that it had since the file's last sync
    a file's size                      any that it had since then; what was not written is zeros
    a name in a directory              each change since the directory's sync was made, or not

After a sync there is one version left, unless the sync failed: then what was unsynced is clean
to the page cache and stays in doubt until it is written again. Metadata has no order of its
own: that is weaker than ext4 or XFS are, and all that POSIX promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.testing.journal import (
    EntryChange,
    Exchange,
    Image,
    Link,
    Operation,
    Rename,
    Resize,
    Sync,
    SyncDirectory,
    SyncFailed,
    Unlink,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECTOR = 512
_ROOT = 1
_ZEROS = bytes(SECTOR)


class FileHistory:
    """One file: what the disk is sure to have of it, and what else it may have."""

    __slots__ = ("_cache", "_cuts", "_dirty", "_durable", "_images", "_versions", "sizes")

    def __init__(self, data: bytes) -> None:
        self._durable = data
        self._cache = bytearray(data)
        self.sizes: list[tuple[int, int]] = [(-1, len(data))]
        self._cuts: list[tuple[int, int]] = []
        self._versions: dict[int, list[tuple[int, bytes]]] = {}
        self._dirty: set[int] = set()
        self._images: dict[str, bytes] = {}

    # ---------------------------------------------------------------- following

    def write(self, number: int, position: int, data: bytes) -> None:
        cache = self._cache
        end = position + len(data)
        if end > len(cache):
            cache.extend(bytes(end - len(cache)))
            self.sizes.append((number, end))
        cache[position:end] = data
        for sector in range(position // SECTOR, -(-end // SECTOR)):
            content = bytes(cache[sector * SECTOR : (sector + 1) * SECTOR])
            self._versions.setdefault(sector, []).append((number, content))
            self._dirty.add(sector)
        self._images.clear()

    def resize(self, number: int, size: int) -> None:
        if size < len(self._cache):
            del self._cache[size:]
            self._cuts.append((number, size))
        else:
            self._cache.extend(bytes(size - len(self._cache)))
        self.sizes.append((number, size))
        self._images.clear()

    def sync(self, number: int) -> None:
        size = len(self._cache)
        if len(self._dirty) == len(self._versions):
            self._durable = bytes(self._cache)
            self._versions.clear()
        else:
            self._sync_dirty(size)
        self._cuts.clear()
        self._dirty.clear()
        self.sizes = [(number, size)]
        self._images.clear()

    def _sync_dirty(self, size: int) -> None:
        """A sync after one that failed: what that one gave up stays in doubt."""
        durable = bytearray(self._durable[: min([length for _, length in self._cuts] + [size])])
        durable.extend(bytes(size - len(durable)))
        for sector, versions in self._versions.items():
            self._versions[sector] = [
                (made, self._as_cut(sector, made, content, self._cuts))
                for made, content in versions
            ]
        for sector in self._dirty:
            start = sector * SECTOR
            durable[start : start + SECTOR] = self._cache[start : start + SECTOR]
            del self._versions[sector]
        self._durable = bytes(durable)

    def sync_failed(self) -> None:
        self._dirty.clear()

    # ---------------------------------------------------------------- states

    @property
    def is_certain(self) -> bool:
        """Whether nothing is in doubt."""
        return not self._versions and len(self.sizes) == 1

    @property
    def sectors(self) -> dict[int, list[tuple[int, bytes]]]:
        """The versions of every sector in doubt, each with its operation's number."""
        return self._versions

    def kept(self) -> bytes:
        """Everything that was written."""
        found = self._images.get("kept")
        if found is None:
            found = self._images["kept"] = bytes(self._cache)
        return found

    def lost(self) -> bytes:
        """Nothing that was not synced."""
        return self._durable

    def until(self, number: int) -> bytes:
        """What was there after operation `number`, if the disk wrote in the order of time."""
        chosen = {
            sector: max((at for at, one in enumerate(versions) if one[0] <= number), default=-1)
            for sector, versions in self._versions.items()
        }
        size = max(at for at, one in enumerate(self.sizes) if one[0] <= number or at == 0)
        return self.assemble(chosen, size)

    def assemble(self, chosen: dict[int, int], size_at: int) -> bytes:
        """The file with the chosen version of each sector in doubt (-1: none) and of its size."""
        number, size = self.sizes[size_at]
        cuts = [cut for cut in self._cuts if cut[0] <= number]
        data = bytearray(self._durable[: min([length for _, length in cuts] + [size])])
        data.extend(bytes(size - len(data)))
        for sector, at in chosen.items():
            start = sector * SECTOR
            if at < 0 or start >= size:
                continue
            made, content = self._versions[sector][at]
            content = self._as_cut(sector, made, content, cuts)
            data[start : start + SECTOR] = content.ljust(SECTOR, b"\0")[: size - start]
        return bytes(data)

    @staticmethod
    def _as_cut(sector: int, made: int, content: bytes, cuts: list[tuple[int, int]]) -> bytes:
        """A sector's version after cuts of the file that came later."""
        for number, length in cuts:
            room = max(length - sector * SECTOR, 0)
            if number > made and room < len(content):
                content = content[:room].ljust(len(content), b"\0")
        return content


class DirectoryHistory:
    """One directory: the names that are sure to be there, and the changes since."""

    __slots__ = ("_durable", "pending")

    def __init__(self, names: dict[str, int]) -> None:
        self._durable = names
        self.pending: list[tuple[int, EntryChange]] = []

    def sync(self) -> None:
        self._durable = self.assemble(range(len(self.pending)))
        self.pending.clear()

    def assemble(self, chosen: Sequence[int] | range) -> dict[str, int]:
        """The names after those of the pending changes that were made."""
        names = dict(self._durable)
        for at in chosen:
            change = self.pending[at][1]
            if isinstance(change, Link):
                names[change.name] = change.node
            elif isinstance(change, Unlink):
                names.pop(change.name, None)
            elif isinstance(change, Exchange):
                names |= _exchanged(names, change)
            else:
                names.pop(change.source, None)
                names[change.destination] = change.node
        return names


def _exchanged(names: dict[str, int], change: Exchange) -> dict[str, int]:
    """The two names, exchanged; where one of them did not survive, the other is as it was."""
    one, other = change.one, change.other
    if one not in names or other not in names:
        return {}
    return {one: names[other], other: names[one]}


class Survivors:
    """What a crash left of each part that was in doubt; what is not named here was kept.

    `files` holds a file's bytes, `directories` the positions of the changes that were made.
    """

    __slots__ = ("directories", "files")

    def __init__(self) -> None:
        self.files: dict[int, bytes] = {}
        self.directories: dict[int, Sequence[int]] = {}


class CrashDisk:
    """A disk that follows a journal; between two operations it tells what may be on it."""

    def __init__(self, image: Image) -> None:
        self.number = 0
        self.files: dict[int, FileHistory] = {}
        self.directories: dict[int, DirectoryHistory] = {}
        names: dict[int, dict[str, int]] = {}
        for path, (node, data) in image.entries.items():
            if data is None:
                names[node] = {}
            else:
                self.files[node] = FileHistory(data)
            if path != "/":
                parent, _, name = path.rpartition("/")
                names[image.entries[parent or "/"][0]][name] = node
        for node, entries in names.items():
            self.directories[node] = DirectoryHistory(entries)

    def follow(self, operation: Operation) -> None:
        """Let the next operation of the journal take place."""
        number = self.number
        self.number += 1
        match operation:
            case Write(file, position, data):
                self.files[file].write(number, position, data)
            case Resize(file, size):
                self.files[file].resize(number, size)
            case Sync(file):
                self.files[file].sync(number)
            case SyncFailed(file):
                self.files[file].sync_failed()
            case SyncDirectory(directory):
                self.directories[directory].sync()
            case Link() | Unlink() | Rename() | Exchange():
                if isinstance(operation, Link):
                    if operation.is_directory:
                        self.directories[operation.node] = DirectoryHistory({})
                    elif operation.node not in self.files:
                        self.files[operation.node] = FileHistory(b"")
                self.directories[operation.directory].pending.append((number, operation))

    # ---------------------------------------------------------------- states

    def doubtful_files(self) -> Iterator[tuple[int, FileHistory]]:
        """The files of which something is not certain."""
        return ((node, file) for node, file in self.files.items() if not file.is_certain)

    def doubtful_directories(self) -> Iterator[tuple[int, DirectoryHistory]]:
        """The directories with changes that are not certain."""
        return ((node, folder) for node, folder in self.directories.items() if folder.pending)

    def image(self, survivors: Survivors) -> Image:
        """The whole disk in the state that `survivors` describes."""
        entries: dict[str, tuple[int, bytes | None]] = {"/": (_ROOT, None)}
        todo = [("", _ROOT)]
        for prefix, node in todo:
            folder = self.directories[node]
            chosen = survivors.directories.get(node)
            names = folder.assemble(range(len(folder.pending)) if chosen is None else chosen)
            for name, child in names.items():
                path = f"{prefix}/{name}"
                file = self.files.get(child)
                if file is None:
                    entries[path] = (child, None)
                    todo.append((path, child))
                else:
                    data = survivors.files.get(child)
                    entries[path] = (child, file.kept() if data is None else data)
        return Image(entries)
