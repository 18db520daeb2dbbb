"""The lab leaves nothing behind, also when the tests are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.lab import janitor
from tests.e2e.lab.processes import until
from tools.gomodules import UnavailableError
from tools.render_examples import ROOT

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(120, func_only=True)]
NAME = f"aex-{os.getpid()}"  # another run of this test may be going on
SECONDS = f"{os.getpid()}.5"
# A process of the lab, one that nobody waits for, as the shims of containerd are, and one in another network and in a
# cgroup below the lab's, as those of a pod are.
PROGRAM = f"""
import subprocess, sys, time
from tests.e2e.lab import network, node, state
from tests.e2e.lab.processes import Processes
with state.directory("killed", "{NAME}") as root:
    inside = network.namespace("{NAME}")
    Processes(root, inside).start("own", ["sleep", "{SECONDS}"], lambda: True)
    subprocess.run([*inside.enter, "sh", "-c", "setsid sleep {SECONDS} >/dev/null 2>&1 &"], check=True)
    pods = subprocess.Popen(["setsid", "sleep", "{SECONDS}"])
    for name in (root.name, root.name + "/pods"):
        cgroups = node.make_cgroups(name)
    for cgroup in cgroups:
        (cgroup / "cgroup.procs").write_text(str(pods.pid))
    subprocess.run(["mount", "-t", "tmpfs", "lab", str(root / "logs")], check=True)
    print(root, flush=True)
    time.sleep(600)
"""


def sleepers() -> list[psutil.Process]:
    """Processes of the program above."""
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", SECONDS]]


def test_a_killed_lab_leaves_no_process_cgroup_mount_namespace_or_directory() -> None:
    if os.geteuid():
        raise UnavailableError("only root makes a network namespace")
    paths = os.pathsep.join((str(ROOT), str(ROOT / "service")))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    ) as lab:
        try:
            assert lab.stdout is not None
            root = Path(lab.stdout.readline().strip())
            assert root.is_dir()
            until(lambda: len(sleepers()) == len(("own", "nobody's", "a pod's")), "all processes", 10)
            assert janitor.cgroups(root)
        finally:
            lab.send_signal(signal.SIGKILL)
    until(lambda: not root.exists(), "the directory is gone", 60)
    assert sleepers() == []
    assert janitor.cgroups(root) == []
    assert not Path("/run/netns", NAME).exists()
    assert str(root) not in Path("/proc/self/mounts").read_text()
