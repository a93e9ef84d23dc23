"""The line of progress: on a terminal a bar with the time left of all, elsewhere nothing; and colours of verdicts."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from fleetpose import terminal
from fleetpose.outlook import StageOutlook
from fleetpose.progress import Progress, status

WORK = """
import logging, sys, time
from fleetpose import cli
from fleetpose.outlook import StageOutlook
from fleetpose.progress import status
from fleetpose.terminal import verdict

def main(arguments):
    outlook = StageOutlook({"tune": 60.0, "collect": 90.0})
    with status("stage 1 of 2, tune", outlook) as progress:
        outlook.begin("tune")
        progress("layer1.conv", 1, 4)
        logging.getLogger("x").warning("a warning")
        time.sleep(0.15)
        progress("layer2.conv", 2, 4)
        progress.say("a line that stays")
        time.sleep(SLEEP)
    print(verdict("Goal: reached.", True))

sys.exit(cli.run(main, cli.parser("work", "Work.")))
"""


class Terminal:
    """A process whose streams are a pseudo-terminal of 100 columns."""

    def __init__(self, sleep=0.0, **environment):
        self.master, slave = pty.openpty()
        names = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONUTF8": "1"}
        names.pop("NO_COLOR", None)
        code = WORK.replace("SLEEP", str(sleep))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave, env={**names, **environment}
        )
        os.close(slave)
        self.text = ""

    def read(self, until=None, secs=180.0):
        """What was written up to some text, or to the end."""
        deadline = time.monotonic() + secs
        while until is None or until not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # Linux's way to say that nobody writes any more
                    data = b""
                if not data:
                    break
                self.text += data.decode()
        return self.text

    def wait(self):
        return self.process.wait(900)


def plain(text):
    """Without colours."""
    return re.sub(r"\033\[[0-9;]*m", "", text)


def test_terminal_has_a_bar_with_percent_elapsed_and_time_left_of_all():
    shell = Terminal()
    text = shell.read()
    assert shell.wait() == 0
    lines = [line for line in re.split(r"[\r\n]", plain(text)) if "tune" in line]
    assert any(
        re.search(r"stage 1 of 2, tune +\S*━\S* *\d+ % +0:\d\d, [12]:\d\d left +layer2.conv", line) for line in lines
    ), lines
    assert all(len(line.removeprefix("\033[K").rstrip()) < 100 for line in lines)
    assert "\033[K" in text
    assert "\033[32mGoal: reached.\033[0m" in text


def test_lines_that_stay_begin_where_the_line_was():
    text = plain(Terminal().read())
    for line in ("x: a warning", "a line that stays", "Goal: reached."):
        assert re.search(rf"(^|\r\033\[K|\n){line}\r?\n", text), (line, text)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_process_leaves_the_cursor_visible(how):
    shell = Terminal(sleep=60)
    shell.read(until="a line that stays")
    shell.process.send_signal(how)
    shell.wait()
    assert "\033[?25l" not in shell.read(), "the cursor was hidden"


def test_no_color_keeps_the_bar_without_colours():
    text = Terminal(NO_COLOR="1").read()
    assert "left" in text
    assert not re.search(r"\033\[[0-9;]*3[0-9]", text)
    assert "\nGoal: reached." in text.replace("\r\033[K", "\n")


def test_dumb_terminal_has_plain_lines():
    text = Terminal(TERM="dumb").read()
    assert "\033" not in text
    assert text.split("\r\n") == ["x: a warning", "a line that stays", "Goal: reached.", ""]


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_pipe_has_no_escape_codes(verbose):
    code = WORK.replace("SLEEP", "0")
    done = subprocess.run([sys.executable, "-c", code, *verbose], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout) == (0, "Goal: reached.\n")
    logged = "fleetpose.progress: stage 1 of 2, tune: layer{}.conv\n" if verbose else ""
    wanted = logged.format(1) + "x: a warning\n" + logged.format(2) + "a line that stays\n"
    assert done.stderr == wanted


def test_rich_is_imported_for_terminals_only():
    code = "import sys\nfrom fleetpose.progress import status\n"
    code += "with status('x') as progress: progress('y', 1, 2)\nsys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=900).returncode == 0


def test_progress_foretells_by_what_is_done():
    progress = Progress("work")
    progress.started -= 10
    assert progress.fraction is progress.secs_left is None
    progress("a", 1, 5)
    assert progress.fraction == pytest.approx(0.2)
    assert progress.secs_left == pytest.approx(40, abs=0.5)


def test_progress_of_something_else_begins_anew():
    progress = Progress("stage 1")
    progress("a", 4, 5)
    progress.turn_to("stage 2")
    assert (progress.title, progress.fraction) == ("stage 2", None)


def test_status_closes_twice():
    with status("work") as progress:
        progress.close()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def outlook(budgeted=frozenset(), **expected):
    clock = Clock()
    return StageOutlook(expected, budgeted, clock), clock


def test_outlook_adds_stages_up():
    view, clock = outlook(tune=100.0, fit=20.0, build=30.0)
    assert view.secs_left() == 150
    view.begin("tune")
    clock.now = 40.0
    assert view.secs_left() == 110
    assert view.fraction() == pytest.approx(40 / 150)
    clock.now = 100.0
    view.end()
    assert view.secs_left() == pytest.approx(50)
    view.skip("fit")
    assert view.secs_left() == pytest.approx(30)
    view.begin("build")
    clock.now = 130.0
    view.end()
    assert view.secs_left() == 0
    assert view.fraction() == 1


def test_outlook_learns_from_slow_stages_but_not_of_budgets():
    view, clock = outlook(frozenset(["tune", "collect"]), tune=100.0, fit=200.0, collect=100.0, build=200.0)
    view.begin("tune")
    clock.now = 50.0
    view.end()
    assert view.secs_left() == 500  # a budget that was not needed says nothing of the machine
    view.begin("fit")
    clock.now = 450.0
    view.end()
    assert 100 + 350 < view.secs_left() < 100 + 400


def test_outlook_trusts_a_stage_s_own_pace_the_further_it_is():
    view, clock = outlook(train=100.0)
    view.begin("train")
    errors = []
    for part in (0.1, 0.5, 0.9):  # it takes 400 s really
        clock.now = 400 * part
        errors.append(abs(view.secs_left(part) - 400 * (1 - part)) / 400)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_outlook_of_an_overdue_stage_stays_positive_and_its_fraction_never_falls():
    view, clock = outlook(fit=10.0, build=10.0)
    view.begin("fit")
    shown = []
    for clock.now in range(0, 100, 5):
        assert view.secs_left() >= 10
        shown.append(view.fraction())
    assert shown == sorted(shown)
    assert shown[-1] < 1


def test_outlook_counts_what_earlier_runs_spent():
    view, _ = outlook(tune=100.0)
    view.begin("tune", spent=70.0)
    assert view.secs_left() == 30


def test_verdict_has_no_colour_off_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    assert terminal.verdict("ok", True, stream) == "ok"
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert terminal.verdict("ok", True, stream) == "\033[32mok\033[0m"
    assert terminal.verdict("failed", False, stream) == "\033[31mfailed\033[0m"
    assert terminal.verdict("neither", None, stream) == "neither"
    assert terminal.tint("lowered", "yellow", stream) == "\033[33mlowered\033[0m"
    assert terminal.tint("plain", "", stream) == "plain"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.verdict("ok", True, stream) == terminal.tint("ok", "red", stream) == "ok"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert terminal.verdict("ok", True, stream) == "ok"
