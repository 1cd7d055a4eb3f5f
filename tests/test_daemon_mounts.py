"""What the table of mounts tells: which do not keep inode numbers, which are on a network, which may hang."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.job import Identity
from daemon.mounts import keeps_inodes, mount_of, mounts_in, network_kind

_TABLE = b"""\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:27 / /mnt/usb rw,relatime - fuseblk /dev/sdb1 rw,user_id=0,group_id=0
36 22 0:35 / /mnt/far\\040away rw,nosuid,nodev shared:19 master:2 - fuse.sshfs host: rw,user_id=0,group_id=0
37 22 0:36 / /mnt/bare rw - fuse x rw,user_id=0
40 22 0:41 /share /mnt/nas rw - cifs //nas/share rw,vers=3.0,noserverino,soft
41 22 0:42 /share /mnt/san rw - cifs //san/share rw,vers=3.0,serverino,soft
50 22 0:43 / /mnt/nfs rw - nfs4 nas:/share rw,vers=4.2
51 22 0:44 / /net rw - autofs systemd-1 rw,fd=41,pgrp=1,timeout=0
"""


def test_which_do_not() -> None:
    found = mounts_in(_TABLE)
    assert {mount.device for mount in found if not mount.keeps_inodes} == {
        os.makedev(0, minor) for minor in (35, 36, 41)
    }
    assert [(mount.number, mount.kind, mount.point) for mount in found][:3] == [
        (22, "ext4", Path("/")),
        (31, "fuseblk", Path("/mnt/usb")),
        (36, "fuse.sshfs", Path("/mnt/far away")),
    ]
    assert mounts_in(b"") == []


def test_which_may_hang() -> None:
    assert [mount.point for mount in mounts_in(_TABLE) if not mount.may_hang] == [Path("/")]


def test_an_inode_that_is_not_kept_decides_nothing() -> None:
    kept = Identity(7, 1, 10, 99)
    assert kept.same_file(Identity(7, 2, 10, 99))
    assert not kept.same_file(Identity(8, 1, 10, 99))
    assert kept.same_file(Identity(0, 1, 10, 99))
    assert not kept.same_file(Identity(0, 1, 11, 99))


def test_disks_do(tmp_path: Path) -> None:
    status = tmp_path.stat()
    assert keeps_inodes(status.st_dev)
    assert network_kind(status.st_dev) is None
    assert Identity.of(status).inode != 0


def test_what_a_path_lies_on_is_told_by_its_words(tmp_path: Path) -> None:
    there = mount_of(tmp_path)
    assert there is not None
    assert there.device == tmp_path.stat().st_dev
    assert mount_of(tmp_path / "not" / "there") == there
    proc = mount_of(Path("/proc/1/stat"))
    assert proc is not None
    assert (proc.point, proc.kind) == (Path("/proc"), "proc")
