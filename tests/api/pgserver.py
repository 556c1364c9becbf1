# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the test's own: below /run of the sandbox, fsync on, killed with it."""

import glob
import os
import pwd
import signal
import subprocess
import time

PORT = 5499


def why_not():
    """Why there can be no server here; None when there can."""
    if not glob.glob("/usr/lib/postgresql/*/bin/initdb"):
        return "no PostgreSQL server is installed"
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "no user postgres"
    with open("/proc/self/uid_map") as f:
        return None if int(f.read().split()[2]) > 1 else "needs root, to run the server as another user"


class Server:
    """The role and the database are called culvert; anybody on the socket is let in."""

    TEMPLATE = "/run/pg-template"  # made once: what initdb does takes a second

    def __init__(self, log, directory="/run/pg"):
        self.directory, self.data, self.log = directory, f"{directory}/data", log
        self.bin = os.path.dirname(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1])
        self.user = pwd.getpwnam("postgres")
        os.mkdir(directory)
        os.chown(directory, self.user.pw_uid, self.user.pw_gid)
        self.options = []
        self.process = None
        if not os.path.exists(self.TEMPLATE):
            self._make_template()
        subprocess.run(["cp", "-a", self.TEMPLATE, self.data], check=True)
        self.start()

    def _make_template(self):
        subprocess.run([f"{self.bin}/initdb", "-N", "-A", "trust", "-E", "UTF8", "--locale=C", "-U", "culvert", "-D",
                        self.data], check=True, stdout=subprocess.DEVNULL, stderr=self.log, **self._as_user())
        self.start()
        self.psql("CREATE DATABASE culvert", database="postgres")
        self.stop()
        os.rename(self.data, self.TEMPLATE)

    def _as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "cwd": self.directory,
                "env": {"LC_ALL": "C", "PATH": "/usr/bin"}}

    @property
    def conninfo(self):
        return f"host={self.directory} port={PORT} user=culvert dbname=culvert"

    def start(self):
        command = [f"{self.bin}/postgres", "-D", self.data, "-k", self.directory, "-p", str(PORT), "-c",
                   "shared_buffers=4MB", *(self.options or ["-c", "listen_addresses="])]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            # After a crash it waits until the former server's processes have noticed.
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                                **self._as_user())
            ready = subprocess.run(["/usr/bin/psql", "-h", self.directory, "-p", str(PORT), "-U", "culvert", "-qc",
                                    "SELECT 1", "postgres"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait(30)

    def kill(self):
        self.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def psql(self, text, database="culvert"):
        """What it answers with: a list of rows, each a list of texts."""
        done = subprocess.run(["/usr/bin/psql", "-h", self.directory, "-p", str(PORT), "-U", "culvert", "-qAtX", "-F",
                               "\t", "-v", "ON_ERROR_STOP=1", "-c", text, database], text=True, capture_output=True,
                              check=False, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"{text}: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop(signal.SIGQUIT)
