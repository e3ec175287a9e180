"""The child processes of the local stack: their ports, and the message when one has ended."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from localstack.paths import Stopped
from localstack.process import ended, free_ports, is_free, passing_on_signals


def test_the_message_about_a_taken_port_says_to_start_again(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    for words in ("ERROR: 127.0.0.1:1 is already in use.", "{listen_error,{acceptor,{127,0,0,1},1},eaddrinuse}"):
        log.write_text(f"starting\n{words}\n")
        assert "start again" in ended(1, log)
        assert words in ended(1, log)
    log.write_text("no configuration\n")
    assert "start again" not in ended(1, log)


def test_free_ports_differ_and_no_server_has_them() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(map(is_free, ports))
    with socket.create_server(("127.0.0.1", ports[0])):
        assert not is_free(ports[0])


def test_a_signal_to_stop_stops_the_child_first() -> None:
    child = subprocess.Popen(["sleep", "60"])

    def wait() -> None:
        with passing_on_signals(child):
            raise Stopped(signal.SIGTERM)

    with pytest.raises(Stopped):
        wait()
    assert child.returncode == -signal.SIGTERM
