"""AWS SSM Parameter Store, played by moto: the parameters that External Secrets reads."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from tests.e2e.lab.network import Network
from tests.e2e.lab.processes import LabError, Process, Processes, listens
from tools import pyprograms

PORT = 4599
REGION = "us-east-1"
PREFIX = "/zerotouch/prod/agent-executor"
SECONDS = 60  # for an answer: moto imports a service with the first request for it
# moto looks only for the region in it.
SIGNED = f"AWS4-HMAC-SHA256 Credential=lab/20260101/{REGION}/ssm/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True)
class Parameters:
    """A running store."""

    url: str
    process: Process

    def put(self, values: Mapping[str, str], prefix: str = PREFIX) -> None:
        """Set parameters below a prefix, as `aws ssm put-parameter --overwrite` does."""
        for name, value in values.items():
            asked = {"Name": f"{prefix}/{name}", "Value": value, "Type": "SecureString", "Overwrite": True}
            self._call("PutParameter", asked)

    def _call(self, action: str, asked: Mapping[str, object]) -> None:
        headers = {"X-Amz-Target": f"AmazonSSM.{action}", "Authorization": SIGNED}
        headers["Content-Type"] = "application/x-amz-json-1.1"
        answer = httpx.post(self.url, json=asked, headers=headers, trust_env=False, timeout=SECONDS)
        if answer.is_error:
            raise LabError(f"{action} {asked.get('Name')}: {answer.text[:500]}")


def start(network: Network, processes: Processes) -> Parameters:
    """Start an empty one."""
    command = [pyprograms.program("moto_server", "moto"), "--host=0.0.0.0", f"--port={PORT}"]
    process = processes.start(
        "moto", command, lambda: listens(network.address, PORT), environment={"AWS_DEFAULT_REGION": REGION}
    )
    return Parameters(f"http://{network.address}:{PORT}", process)
