"""Storage Commitment through the installed program: processes of its own, a real sender, a node that is killed."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from ingest.retrieve.sender import Peer, send
from tests.acceptance import dcm4che
from tests.ingest.commitment.conftest import Heard, Requestor, ask
from tests.ingest.datasets import write_file
from tests.lastgate.served import Served, served

pytestmark = pytest.mark.server


def _configured(folder: Path, requestor: Requestor) -> str:
    """Write settings that say where the requestor takes associations, and return their path."""
    path = folder / "lastgate.toml"
    path.write_text(
        f'[[node.peers]]\ntitle = "{requestor.aet}"\nhost = "127.0.0.1"\nport = {requestor.port}\n', "utf-8"
    )
    return str(path)


def _sent(node: Served, folder: Path, *instances: str) -> None:
    paths = [write_file(folder / f"{uid}.dcm", instance=uid) for uid in instances]
    peer = Peer(aet="LASTGATE", host="127.0.0.1", port=node.port)
    assert all(one.is_stored for one in send(paths, peer, calling="SCANNER"))


def _heard(requestor: Requestor) -> Heard:
    return requestor.heard.get(timeout=60)


def test_commitment_when_asked_right_after_sending_then_the_waiting_requestor_hears_that_all_is_kept(
    tmp_path: Path,
) -> None:
    requestor = Requestor()
    with served(tmp_path / "home") as node:
        _sent(node, tmp_path, "1.2.3.1", "1.2.3.2")
        with requestor.calling(node.port) as association:
            assert ask(association, "1.9.1", "1.2.3.1", "1.2.3.2") == 0x0000
            heard = _heard(requestor)
    assert (heard.event, heard.committed, heard.failed) == (1, {"1.2.3.1", "1.2.3.2"}, {})


def test_commitment_when_the_node_is_killed_after_it_took_the_request_then_it_is_answered_after_the_restart(
    tmp_path: Path,
) -> None:
    requestor = Requestor()
    with requestor.listening():
        config = _configured(tmp_path, requestor)
        with served(tmp_path / "home", LASTGATE_CONFIG=config) as node:
            _sent(node, tmp_path, "1.2.3.1")
            with requestor.calling(node.port) as association:
                os.kill(node.children()["filer"], signal.SIGSTOP)  # it must not be quicker than the kill
                assert ask(association, "1.9.1", "1.2.3.1") == 0x0000
                for pid in (node.process.pid, *node.children().values()):
                    os.kill(pid, signal.SIGKILL)
                association.abort()
        assert requestor.heard.empty()
        with served(tmp_path / "home", LASTGATE_CONFIG=config):
            heard = _heard(requestor)
    assert (heard.transaction, heard.event, heard.committed) == ("1.9.1", 1, {"1.2.3.1"})


def _stgcmtscu(node: Served, folder: Path, *, bind: str) -> Dataset:
    """Ask with dcm4che for what lies in a folder and return the report as it keeps it."""
    answers = folder.parent / "answers"
    answers.mkdir()
    peer = f"LASTGATE@127.0.0.1:{node.port}"
    line = dcm4che.command("stgcmtscu", "-b", bind, "-c", peer, "--directory", str(answers), str(folder))
    told = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    (kept,) = answers.iterdir()
    return dcmread(kept)


def test_commitment_when_dcm4che_asks_for_what_was_never_sent_too_then_it_is_called_and_told_which(
    tmp_path: Path,
) -> None:
    requestor = Requestor(aet="STGCMTSCU")
    with requestor.listening():  # a free port, which dcm4che will listen on
        config = _configured(tmp_path, requestor)
    with served(tmp_path / "home", LASTGATE_CONFIG=config, LASTGATE_COMMITMENT__UNKNOWN_AFTER_S="2") as node:
        _sent(node, tmp_path / "in", "1.2.3.1", "1.2.3.2")
        write_file(tmp_path / "in" / "never-sent.dcm", instance="1.2.3.3")
        report = _stgcmtscu(node, tmp_path / "in", bind=f"STGCMTSCU@127.0.0.1:{requestor.port}")
    failed = {one.ReferencedSOPInstanceUID: one.FailureReason for one in report.FailedSOPSequence}
    assert {one.ReferencedSOPInstanceUID for one in report.ReferencedSOPSequence} == {"1.2.3.1", "1.2.3.2"}
    assert failed == {"1.2.3.3": 0x0112}
