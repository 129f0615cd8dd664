"""A real Slurm on one machine, to be thrown away: `python -m tests.slurm.cluster FOLDER` runs one until Ctrl-C.

It has two nodes, so that one can be lost, and accounts for jobs in a database of its own. All its files are in FOLDER,
and it listens on this machine only. It needs root, and of Debian: slurmctld slurmd slurm-client slurmdbd
mariadb-server-core mariadb-client-core munge.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMMANDS = ("slurmctld", "slurmd", "sbatch", "slurmdbd", "mariadbd", "mariadb-install-db", "munged", "setpriv")
PARTITION = "test"
NODES = ("node1", "node2")

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AccountingStorageType=accounting_storage/{accounting}
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={folder}/munge.socket
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MessageTimeout=4
SlurmdTimeout=2
ReturnToService=2
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={slurmds} CPUs=2 RealMemory=1000
PartitionName={partition} Nodes=ALL Default=YES
"""
SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadbd}
StorageUser=root
StorageLoc=accounting
PidFile={folder}/slurmdbd.pid
"""


def missing() -> str:
    """What this machine lacks to run a cluster, in a line; empty if nothing."""
    if lacking := [command for command in COMMANDS if shutil.which(command) is None]:
        return f"a Slurm needs {', '.join(lacking)}: not on this machine"
    return "" if os.geteuid() == 0 else "a Slurm is started by root only"


class Cluster:
    """A cluster that runs from `start` to `stop`; each daemon's log is in its folder.

    Args:
        folder: for all its files; is made. A socket's path must be short.

    Attributes:
        environment: ours, with which Slurm's commands talk to it.
        without_accounting: the same, but `sacct` fails, as on a cluster that does not account for jobs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._mariadbd, slurmdbd, slurmctld, *slurmds = _free_ports(3 + len(NODES))
        values = {
            "folder": folder,
            "host": socket.gethostname(),
            "mariadbd": self._mariadbd,
            "slurmdbd": slurmdbd,
            "slurmctld": slurmctld,
            "slurmds": ",".join(map(str, slurmds)),
            "nodes": ",".join(NODES),
            "partition": PARTITION,
        }
        folder.mkdir(parents=True)
        for name, accounting in (("slurm", "slurmdbd"), ("without_accounting", "none")):
            (folder / f"{name}.conf").write_text(SLURM_CONF.format(**values, accounting=accounting))
        (folder / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(**values))
        (folder / "slurmdbd.conf").chmod(0o600)
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self.without_accounting = os.environ | {"SLURM_CONF": str(folder / "without_accounting.conf")}

    def start(self) -> None:
        """Start all daemons, and wait until both nodes take jobs.

        Raises:
            TimeoutError: they do not.
        """
        files = {name: self._folder / f"munge.{name}" for name in ("socket", "key", "pid", "seed", "log")}
        files["key"].write_bytes(secrets.token_bytes(128))
        files["key"].chmod(0o400)
        options = [f"--{name}-file={files[name]}" for name in ("key", "pid", "seed", "log")]
        # --force: also where a folder above ours is open to others, as /tmp is.
        self._start("munged", "--foreground", "--force", f"--socket={files['socket']}", *options)
        _wait(files["socket"].exists)
        self._start_accounting()
        self._start("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        _wait(lambda: self.says("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES))

    def start_node(self, node: str) -> None:
        """Start a node, also one that was killed."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def stop(self) -> None:
        """Kill everything: nothing of it is wanted any more."""
        for node in NODES:
            self.kill_node(node)
        for name in [*self._daemons]:
            self._kill(name)

    def kill_node(self, node: str) -> None:
        """Let a node lose its power: its daemon and all processes of its jobs are gone, and nobody is told."""
        self._kill(node)
        for pid, environment in _environments():
            ours = any(variable.startswith(f"SLURM_CONF={self._folder}/") for variable in environment)
            if ours and f"SLURMD_NODENAME={node}" in environment:
                _kill(pid)

    def says(self, *command: str) -> str:
        """What one of Slurm's commands prints; nothing where it fails."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        ).stdout

    def _start_accounting(self) -> None:
        database = ["--no-defaults", "--user=root", f"--datadir={self._folder / 'mariadb'}"]
        with (self._folder / "mariadb-install-db.log").open("wb") as log:
            install = ["mariadb-install-db", *database, "--auth-root-authentication-method=normal", "--skip-test-db"]
            subprocess.run(install, stdout=log, stderr=log, check=True)
        files = [f"--{name}={self._folder / 'mariadbd'}.{name}" for name in ("socket", "pid-file")]
        self._start("mariadbd", *database, *files, "--bind-address=127.0.0.1", f"--port={self._mariadbd}")
        _wait((self._folder / "mariadbd.socket").exists)
        self._start("slurmdbd", "-D")
        _wait(lambda: "test" in self.says("sacctmgr", "--immediate", "add", "cluster", "test"))

    def _start(self, *command: str, name: str = "") -> None:
        with (self._folder / f"{name or command[0]}.log").open("ab") as log:
            self._daemons[name or command[0]] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],  # it goes with us, however we end
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us
            )

    def _kill(self, name: str) -> None:
        if daemon := self._daemons.pop(name, None):
            daemon.kill()
            daemon.wait()


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster, as long as the context lasts."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Slurm did not start within {seconds:.0f} s; its logs tell why")
        time.sleep(0.1)


def _environments() -> Iterator[tuple[int, list[str]]]:
    """Of all processes: each one's number, and what is in its environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes().decode(errors="replace").split("\0")


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run one until Ctrl-C."""
    if len(sys.argv) != 2 or missing():
        raise SystemExit(missing() or __doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running(Path(sys.argv[1]).resolve()) as cluster:
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}    # its partition: {PARTITION}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
