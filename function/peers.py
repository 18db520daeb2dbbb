"""The pods that every executor talks to: where they are, and how a NetworkPolicy finds them.

Invariant: ports are those of the pods themselves, because a NetworkPolicy is applied after a Service's translation.
"""

from typing import Annotated

from pydantic import Field

from function.formats import Cidr, HostPort, Label, LabelKey, LabelValue
from function.model import EMPTY, Fixed, Items, Map, Model, Port

Labels = Annotated[Map[LabelKey, LabelValue], Field(max_length=32)]


class NatsServers(Model):
    """The NATS servers that claims connect to."""

    monitoring_endpoint: HostPort | None = None
    """`host:port` that KEDA asks, for claims that name none. Derived from the claim's `natsUrl` when not given."""
    namespaces: Annotated[Items[Label], Field(max_length=64)] = ()
    """Namespaces that a claim's `natsUrl` may point into; any when empty, and then only at pods with `podLabels`."""
    pod_labels: Labels = Fixed({"app.kubernetes.io/name": "nats"})
    """Labels of the NATS pods."""
    cidrs: Annotated[Items[Cidr], Field(max_length=64)] = ()
    """Networks of NATS servers outside the cluster."""


class Peer(Model):
    """Pods of the cluster that every executor connects to."""

    namespace: Label
    """Their namespace."""
    pod_labels: Labels = EMPTY
    """Their labels; every pod of the namespace when empty."""
    port: Port
    """The port of the pods themselves, not of the Service before them."""


class Postgres(Peer):
    """PostgreSQL's pods."""

    namespace: Label = "databases"
    """Their namespace."""
    port: Port = 5432
    """The port of the pods themselves, not of the Service before them."""


class Dragonfly(Peer):
    """The pods of Dragonfly, or of another server that speaks Redis."""

    namespace: Label = "databases"
    """Their namespace."""
    port: Port = 6379
    """The port of the pods themselves, not of the Service before them."""


class Dns(Peer):
    """The cluster's DNS servers."""

    namespace: Label = "kube-system"
    """Their namespace."""
    pod_labels: Labels = Fixed({"k8s-app": "kube-dns"})
    """Their labels; every pod of the namespace when empty."""
    port: Port = 53
    """The port of the pods themselves, not of the Service before them."""


class Databases(Model):
    """The databases that claims connect to."""

    postgres: Postgres = Postgres()
    """PostgreSQL."""
    dragonfly: Dragonfly = Dragonfly()
    """Dragonfly, or another server that speaks Redis."""


class Monitoring(Model):
    """Who reads the metrics."""

    namespace: Label = "monitoring"
    """The namespace that may always call port 8080 of a claim that does not name its callers."""
