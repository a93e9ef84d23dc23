"""Locks of files, and what stands in for them where a file system has none."""

import errno
import fcntl
import os

import pytest

from fleetpose.disk.locks import FileLock
from fleetpose.errors import UsageError
from latency.optimize.state import lock
from latency.records.journal import Journal


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records.jsonl"
    path.touch()
    handles = [os.open(path, os.O_RDWR) for _ in range(2)]
    yield path, *handles
    for handle in handles:
        os.close(handle)


@pytest.fixture
def no_locks(monkeypatch):
    """As on a file system that refuses flock; none can be mounted here without being root."""

    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_locked_file_is_refused_until_its_lock_ends(file):
    path, one, two = file
    FileLock(one, path)
    with pytest.raises(BlockingIOError):
        FileLock(two, path)
    fcntl.flock(one, fcntl.LOCK_UN)
    FileLock(two, path)


def test_a_file_system_without_locks_has_them_on_this_machine(file, no_locks, caplog):
    path, one, two = file
    held = FileLock(one, path)
    assert "its file system has no locks (No locks available)" in caplog.text
    with pytest.raises(BlockingIOError):
        FileLock(two, path)
    held.release()
    FileLock(two, path).release()


def test_a_forked_process_without_locks_is_refused_too(file, no_locks):
    path, one, two = file
    held = FileLock(one, path)
    child = os.fork()
    if child == 0:
        try:
            FileLock(two, path)
            os._exit(0)
        except BlockingIOError:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    held.release()


def test_a_journal_works_where_there_are_no_locks(tmp_path, no_locks):
    says = r"being written to by another latency\.collect"
    with Journal(tmp_path / "records.jsonl"), pytest.raises(UsageError, match=says):
        Journal(tmp_path / "records.jsonl")
    with Journal(tmp_path / "records.jsonl") as again:
        assert again.records == []


def test_a_folder_of_optimize_works_where_there_are_no_locks(tmp_path, no_locks):
    says = r"being worked on by another latency\.optimize"
    with lock(tmp_path), pytest.raises(UsageError, match=says), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass
