"""`swirl view`: what it prints, refuses and warns of, and how it ends."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from finished_run import finished_run
from killing import hear_ctrl_c
from swirl.cli import main

NOT_OURS = "expected a run folder (with run.toml)"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "expected `swirl view RUN ...`, found no RUN"),
        (["--port", "0"], "found '--port' in place of RUN"),
        (
            ["nowhere"],
            f"{NOT_OURS} at nowhere, or one that holds some, as a study's, found neither; make a run with `swirl demo --out nowhere`",
        ),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", *words]) == 2
    said = capsys.readouterr()
    assert sentence in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert not said.out


def test_a_port_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["view", "nowhere", "--port", "70000"])
    assert "--port must be between 0 (any free one) and 65535" in " ".join(capsys.readouterr().err.split())


def test_a_port_in_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run(tmp_path / "mine")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", str(run), "--port", str(port), "--no-browser"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"--port {port}: expected an address that is free to listen on" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_prints_its_address_warns_where_others_can_reach_it_and_ends_with_ctrl_c(tmp_path: Path, host: str) -> None:
    run = finished_run(tmp_path / "mine")
    command = [sys.executable, "-m", "swirl", "view", str(run), "--port", "0", "--host", host, "--no-browser"]
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **told, preexec_fn=hear_ctrl_c) as process:
        assert process.stdout is not None
        address = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert address.startswith(f"http://{host}:")
    assert "/?token=" in address
    assert ("warning: --host 0.0.0.0" in said) is (host == "0.0.0.0")
    assert "Traceback" not in said
    assert said.rstrip().endswith("view: ended")
    assert process.returncode == 0
