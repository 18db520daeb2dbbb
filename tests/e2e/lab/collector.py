"""Where pods send their spans: an OTLP/HTTP receiver that keeps them in a file, one JSON object a line.

Started by `backends` as a process inside the lab's network: `python -m tests.e2e.lab.collector PORT FILE`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATH = "/v1/traces"  # https://opentelemetry.io/docs/specs/otlp/#otlphttp-request


def spans(body: bytes) -> list[dict[str, str]]:
    """Name, trace, id and parent of each span in an export, the ids as in a `traceparent`."""
    request = ExportTraceServiceRequest.FromString(body)
    found = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    return [
        {
            "name": span.name,
            "trace_id": span.trace_id.hex(),
            "span_id": span.span_id.hex(),
            "parent": span.parent_span_id.hex(),
        }
        for span in found
    ]


class Receiver(BaseHTTPRequestHandler):
    """Takes exports, and keeps what is in them."""

    into: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.path == PATH
        if known:
            with self.into.open("a") as file:
                file.writelines(json.dumps(span) + "\n" for span in spans(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def main(port: int, into: Path) -> None:
    Receiver.into = into
    with ThreadingHTTPServer(("0.0.0.0", port), Receiver) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
