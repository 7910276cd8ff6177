"""What kind of file system a directory lies on, by the number that `statfs(2)` answers.

The numbers are the kernel's (linux/magic.h) or those that a file system's own pages give. Two of
them say too little: FUSE is whatever program serves it, and an overlay may have been mounted so
that it ignores syncs. For these the table of mounts has the rest: `fuse.sshfs`,
`overlay.volatile`.
"""

from __future__ import annotations

import re

OVERLAY = "overlay"
VOLATILE_OVERLAY = "overlay.volatile"
FUSE = "fuse"

_NAMES = {
    0xEF53: "ext4",  # ext2 and ext3 as well
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0xCA451A4E: "bcachefs",
    0xF15F: "ecryptfs",
    0x4D44: "vfat",
    0x2011BAB0: "exfat",
    0x7366746E: "ntfs3",
    0x9660: "iso9660",
    0x73717368: "squashfs",
    0xE0F5E1E2: "erofs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0x958458F6: "hugetlbfs",
    0x794C7630: OVERLAY,
    0x61756673: "aufs",
    0x65735546: FUSE,
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x517B: "smb",
    0x01021997: "9p",
    0x00C36400: "ceph",
    0x5346414F: "afs",
    0x6B414653: "kafs",
    0x73757245: "coda",
    0x564C: "ncpfs",
    0x0BD00BD0: "lustre",
    0x01161970: "gfs2",
    0x7461636F: "ocfs2",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x786F4256: "vboxsf",
}

#: Another machine may write there as well, and neither locks nor the order of writes hold.
NETWORK_KINDS = frozenset(
    {
        *("nfs", "cifs", "smb", "smb2", "9p", "afs", "kafs", "coda", "ncpfs", "vboxsf"),
        *("ceph", "lustre", "gfs2", "ocfs2", "gpfs", "beegfs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs"),
        *("fuse.s3fs", "fuse.goofys", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs", "fuse.mfs"),
    }
)
#: Nothing outlives the machine's power.
VOLATILE_KINDS = frozenset({"tmpfs", "ramfs", "hugetlbfs", VOLATILE_OVERLAY})


def name_of(magic: int) -> str:
    """The name that `magic` stands for; the number itself where none is known."""
    return _NAMES.get(magic, f"0x{magic:x}")


def needs_mounts(kind: str) -> bool:
    """Whether the table of mounts says what the number does not."""
    return kind in (FUSE, OVERLAY)


def refine(kind: str, mounts: str, path: str) -> str:
    """`kind` of `path`, a resolved one, with what `/proc/self/mountinfo` adds to it."""
    found, options = _mount_of(mounts, path)
    if kind == OVERLAY:
        is_volatile = "volatile" in options or "fsync=volatile" in options
        return VOLATILE_OVERLAY if is_volatile else kind
    program = found.removeprefix("fuseblk").removeprefix(FUSE).lstrip(".")
    return f"{FUSE}.{program}" if program else FUSE


def is_network(kind: str) -> bool:
    """Whether nothing may be written there."""
    return kind in NETWORK_KINDS


def is_fuse(kind: str) -> bool:
    """Whether a program serves it: what a lock or a sync is worth there, it decides."""
    return kind.partition(".")[0] == FUSE


def is_mappable(kind: str) -> bool:
    """Whether maps for reading show what is written: elsewhere read calls serve instead."""
    return not (is_network(kind) or is_fuse(kind) or kind in (OVERLAY, VOLATILE_OVERLAY, "aufs"))


def _mount_of(mounts: str, path: str) -> tuple[str, list[str]]:
    """The type and the options of the mount that `path` lies on; the last one covers others."""
    best, found = "", ("", [""])
    for line in mounts.splitlines():
        fields = line.split(" ")
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            at = fields.index("-")
            best, found = mount, (fields[at + 1], fields[at + 3].split(","))
    return found
