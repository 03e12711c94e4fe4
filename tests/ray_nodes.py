"""A Ray cluster of simulated nodes in a process of its own, which is told what to do line by line.

Ray leaves files open that a test run with warnings as errors would trip over.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 5,
}
STORE_BYTES = 100 << 20


class Nodes:
    """The cluster as tests see it: a head that works too, with one processor, and what is added."""

    def __init__(self, client_port: int) -> None:
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": paths}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed when the cluster stops
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(client_port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment,
        )  # fmt: skip
        self.address, self.folder = self._ask("head").split()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        while not (answer := self._process.stdout.readline()).startswith("OK "):
            if not answer:
                self._said.seek(0)
                raise AssertionError(f"the cluster's process ended: {self._said.read()[-2000:]}")
        return answer[3:].strip()

    def add(self, cpus: int = 1) -> str:
        """Add a node; return its id."""
        return self._ask(f"add {cpus}")

    def kill(self, node: str) -> None:
        """Kill a node and all that runs on it, as a power cut does."""
        self._ask(f"kill {node}")

    def stop(self) -> None:
        """End all nodes."""
        self._ask("stop")
        self._process.wait(60)
        for stream in (self._process.stdin, self._process.stdout, self._said):
            assert stream is not None
            stream.close()


def main() -> None:
    """Hold the cluster."""
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES,
        "ray_client_server_port": int(sys.argv[1]), "_system_config": QUICK_TO_NOTICE,
    }  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes: dict[str, Any] = {}
    for line in sys.stdin:
        word, *arguments = line.split()
        answer = ""
        if word == "head":
            answer = f"{cluster.address} {Path(cluster.head_node.get_session_dir_path())}"
        elif word == "add":
            node = cluster.add_node(num_cpus=int(arguments[0]), object_store_memory=STORE_BYTES)
            answer, nodes[node.node_id] = node.node_id, node
        elif word == "kill":
            cluster.remove_node(nodes[arguments[0]], allow_graceful=False)
        else:
            cluster.shutdown()
        sys.stdout.write(f"OK {answer}\n")
        sys.stdout.flush()
        if word == "stop":
            return


if __name__ == "__main__":
    main()
