"""The lines that say how far a build is and which build runs, with a script in cargo's place."""

import re
import signal
import stat
from pathlib import Path

import pytest

from localstack import build, commands
from localstack.__main__ import arguments
from localstack.paths import PartFailed, Stopped
from localstack.programs import Programs

CARGO = r"""#!/bin/sh
[ "$*" = "build --bins" ] || exit 9
printf '   Compiling serde v1.0.0\n    Building [=>     ] 1/3: serde(build.rs), syn\r' >&2
printf 'warning: unused variable: `x`\n    Building [====>  ] 2/3: catalog                \r' >&2
printf '    Finished `dev` profile in 3.00s\n' >&2
"""


@pytest.fixture
def cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cargo's place in the PATH, where nothing else is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "cargo"


def write(script: Path, text: str) -> None:
    script.write_text(text)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_steps_and_elapsed_time_take_the_place_of_cargos_list_of_crates(
    cargo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "PAUSE", 0.0)
    write(cargo, CARGO)
    build.build(["--bins"])
    assert capsys.readouterr().out.splitlines() == [
        "Building: step 1 of 3, 0 s (serde(build.rs), syn)",
        "warning: unused variable: `x`",
        "Building: step 2 of 3, 0 s (catalog)",
        "    Finished `dev` profile in 3.00s",
    ]


def test_a_pipe_gets_a_line_at_once_and_then_only_now_and_then(cargo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(cargo, CARGO)
    build.build(["--bins"])
    assert [line[:20] for line in capsys.readouterr().out.splitlines() if line.startswith("Building")] == [
        "Building: step 1 of "
    ]


def test_errors_of_the_compiler_are_printed_and_end_the_command(
    cargo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(cargo, "#!/bin/sh\necho 'error[E0425]: cannot find value `x`' >&2\nexit 101\n")
    with pytest.raises(PartFailed, match="`cargo build --bins` ended with code 101"):
        build.build(["--bins"])
    assert "error[E0425]: cannot find value `x`" in capsys.readouterr().out


def test_without_cargo_the_error_says_where_it_comes_from(cargo: Path) -> None:
    with pytest.raises(PartFailed, match=re.escape("https://rustup.rs")):
        build.build(["--bins"])


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (745, "12 min 25 s")])
def test_durations_are_in_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert build.elapsed(seconds) == shown


def test_the_shared_build_is_named_with_its_profile_and_what_it_is_compiled_for(tmp_path: Path) -> None:
    dev, release = build.description(tmp_path / "debug"), build.description(tmp_path / "release")
    assert dev.endswith("/debug: profile dev, hot crates compiled for speed, the rest for build time")
    assert release.endswith("/release: profile release")


def test_a_run_says_which_build_it_runs_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Programs, "missing", lambda _: [])
    monkeypatch.setattr(commands, "RUN", tmp_path / "run")
    monkeypatch.setattr(commands.containers, "start", _stop)
    # This process goes on with other tests.
    monkeypatch.setattr(commands, "ignore_signals", lambda: None)
    options = arguments().parse_args(["run", "--docker", "--target", str(tmp_path)])
    with pytest.raises(Stopped):
        commands.run(options)
    assert capsys.readouterr().out.splitlines() == [build.description(tmp_path)]


def _stop(*_: object) -> None:
    raise Stopped(signal.SIGTERM)
