from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import disk

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
/dev/vdb /tmp/with\\040space xfs rw 0 0
/dev/vdc /tmp/with\\040space btrfs rw 0 0
"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/srv/data", "ext4 on /dev/vda"),
        ("/tmp/data", "tmpfs on tmpfs"),
        ("/tmpfoo", "ext4 on /dev/vda"),
        ("/tmp/with space/data", "btrfs on /dev/vdc"),
    ],
)
def test_the_nearest_mount_is_the_file_system(directory: str, expected: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert disk.file_system(Path(directory), str(mounts)) == expected


def test_syncs_are_sorted_and_leave_nothing(tmp_path: Path) -> None:
    times = disk.sync_s(tmp_path, 20)
    assert len(times) == 20
    assert times == sorted(times)
    assert times[0] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_description_names_the_file_system_and_the_cost(tmp_path: Path) -> None:
    assert disk.describe(tmp_path).startswith(f"{disk.file_system(tmp_path)}, fsync of 4 KiB ")
