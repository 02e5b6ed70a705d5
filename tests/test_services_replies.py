"""Replies that were paid for: kept by many processes at once, whatever kills them, and never taken for the record."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swirl.errors import RunFolderError
from swirl.services.replies import Replies, cache_folder, network_filesystem, request_key

WRITER = """
import sys
from pathlib import Path
from swirl.services.replies import Replies
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
replies = Replies(path)
for number in range(count):
    replies.put(f"{name}-{number}", f"reply {number}".encode() * 50)
    print(number, flush=True)
"""


def writer(path: Path, name: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_what_was_kept_is_found_again_by_another(tmp_path: Path) -> None:
    first, second = Replies(tmp_path / "new" / "replies.sqlite"), Replies(tmp_path / "new" / "replies.sqlite")
    assert first.get("a") is None
    first.put("a", b"\x00reply")
    assert second.get("a") == b"\x00reply"
    second.put("a", b"newer")
    first.close()
    assert first.get("a") == b"newer", "it is opened again when it is needed"
    first.close()
    second.close()
    second.close()


def test_several_processes_open_a_new_store_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    writers = [writer(path, f"w{i}", 60) for i in range(6)]
    for process in writers:
        said, _ = process.communicate(timeout=120)
        assert (process.returncode, len(said.split())) == (0, 60)
    replies = Replies(path)
    missing = [f"w{i}-{n}" for i in range(6) for n in range(60) if not replies.get(f"w{i}-{n}")]
    replies.close()
    assert not missing


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_killed_process_loses_no_reply_that_it_had_kept(tmp_path: Path, after: int) -> None:
    path = tmp_path / "replies.sqlite"
    process = writer(path, "w", 10**6)
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    kept = after + len([line for line in rest.splitlines(keepends=True) if line.endswith("\n")])
    replies = Replies(path)
    assert all(replies.get(f"w-{n}") == f"reply {n}".encode() * 50 for n in range(kept))
    replies.put("after", b"it goes on")
    replies.close()


@pytest.mark.parametrize("damage", [b"this is no database, and has never been one" * 100, b""])
def test_a_damaged_store_is_one_sentence_and_an_empty_file_is_a_new_one(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "replies.sqlite"
    path.write_bytes(damage)
    replies = Replies(path)
    if not damage:
        replies.put("a", b"b")
        assert replies.get("a") == b"b"
        return replies.close()
    with pytest.raises(RunFolderError, match=r"replies\.sqlite: the store of replies cannot be used .*; delete it"):
        replies.get("a")
    path.unlink()
    assert replies.get("a") is None
    replies.close()


def test_a_store_damaged_in_the_middle_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    replies = Replies(path)
    for number in range(300):
        replies.put(f"{number:064}", b"x" * 300)
    replies.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(RunFolderError, match="cannot be used"):
        [replies.get(f"{number:064}") for number in range(300)]
    replies.close()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot make"):
        Replies(tmp_path / "file" / "replies.sqlite").get("a")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from swirl.errors import RunFolderError
from swirl.services.replies import Replies
replies = Replies(Path(sys.argv[1]))
replies.put("kept", b"kept")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(1000):
        replies.put(str(number), b"x" * 1000)
except RunFolderError as error:
    print(error)
print(replies.get("kept").decode())
"""


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    path = tmp_path / "replies.sqlite"
    found = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    sentence, kept = found.stdout.splitlines()
    assert str(path) in sentence
    assert "free some space" in sentence
    assert kept == "kept"


HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


def test_a_store_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    first = Replies(path)
    first.put("a", b"b")
    first.close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiting = writer(path, "w", 1)
    time.sleep(0.3)
    assert waiting.poll() is None
    holder.communicate("\n", timeout=60)
    waiting.communicate(timeout=120)
    assert waiting.returncode == 0
    replies = Replies(path)
    assert replies.get("w-0")
    replies.close()


MOUNTS = r"""
proc /proc proc rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/me/local xfs rw 0 0
server:/a /mnt/with\040space\134 fuse.sshfs rw 0 0
old /srv ext4 rw 0 0
new /srv fuse.glusterfs rw 0 0
broken
/dev/fuse /overlay fuse.fuse-overlayfs rw 0 0
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/tmp/x", ""),
        ("/home/me/x", "nfs4"),
        ("/home/me/local/x", ""),
        ("/homes/x", ""),
        ("/mnt/with space\\/x", "fuse.sshfs"),
        ("/srv/x", "fuse.glusterfs"),
        ("/overlay/x", ""),
    ],
)
def test_network_file_systems_are_told_from_local_ones(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert network_filesystem(Path(place), mounts) == kind
    assert network_filesystem(Path(place), tmp_path / "none") == ""


def test_a_link_onto_a_network_file_system_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "mounts").write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/a {tmp_path.resolve()}/there nfs rw 0 0\n")
    assert network_filesystem(tmp_path / "link" / "replies.sqlite", tmp_path / "mounts") == "nfs"


def test_on_a_network_file_system_it_says_so_and_keeps_a_journal_that_works_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mounts").write_text(f"server:/a {tmp_path.resolve()} nfs rw 0 0\n")
    local = Replies(tmp_path / "replies.sqlite", tmp_path / "none")
    local.put("a", b"b")
    assert (tmp_path / "replies.sqlite-wal").exists()
    local.close()
    remote = Replies(tmp_path / "replies.sqlite", tmp_path / "mounts")
    assert remote.get("a") == b"b"
    remote.put("c", b"d")
    assert not (tmp_path / "replies.sqlite-wal").exists()
    remote.close()
    assert capsys.readouterr().err.count("on a network file system (nfs)") == 1


def test_a_request_is_found_whatever_the_order_it_was_put_together_in() -> None:
    assert request_key({"a": {"x": 1, "y": [1, 2]}, "b": "é"}) == request_key({"b": "é", "a": {"y": [1, 2], "x": 1}})
    assert request_key({"a": [1, 2]}) != request_key({"a": [2, 1]})
    assert request_key({"seed": 1}) != request_key({"seed": "1"})


def test_the_folder_of_replies_is_the_users_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("SWIRL_CACHE", raising=False)
    assert cache_folder() == Path("/x/swirl")
    monkeypatch.setenv("SWIRL_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
