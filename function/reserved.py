"""Names that are the platform's, and that a tenant therefore may not set.

Invariant: each rule stands here once as a check and as the rule that the API server checks (`…_CEL`).
"""

from function.invalid import show

# What the function sets, what comes from the Secrets, and what the probes and the Service depend on.
ENV = frozenset({
    "NATS_URL", "NATS_STREAM", "NATS_CONSUMER", "NATS_SUBJECT_PREFIX", "NATS_STATUS_STREAM", "NATS_DEAD_LETTER_STREAM",
    "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_SCHEMA",
    "DRAGONFLY_HOST", "DRAGONFLY_PORT", "DRAGONFLY_PASSWORD", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
    "HTTP_HOST", "HTTP_PORT", "MAX_CONCURRENT_JOBS", "DRAIN_SECONDS",
})  # fmt: skip
# The selector's label, and the recommended ones that every object has.
LABELS, LABEL_PREFIX = frozenset({"app"}), "app.kubernetes.io/"
# These would undo the pod's restricted security: the kubelet still reads some of them.
ANNOTATION_PREFIXES = (
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)
# What the function says of the pods' Secrets.
OWN_ANNOTATIONS = "platform.bizmatters.io/"

ENV_CEL = f"!(self in {sorted(ENV)})"
LABELS_CEL = f"self.all(key, key != 'app' && !key.startsWith('{LABEL_PREFIX}'))"
ANNOTATIONS_CEL = f"self.all(key, !{list(ANNOTATION_PREFIXES)}.exists(prefix, key.startsWith(prefix)))"
OWN_ANNOTATIONS_CEL = f"self.all(key, !key.startsWith('{OWN_ANNOTATIONS}'))"


def check_env(name: str) -> str:
    """Give it back, or raise ValueError for an environment variable that is not the tenant's to set."""
    if name in ENV:
        msg = f"{name} is set by the platform, choose another name"
        raise ValueError(msg)
    return name


def check_label(key: str) -> str:
    """Give it back, or raise ValueError for a pod label that selects or describes the pods already."""
    if key in LABELS or key.startswith(LABEL_PREFIX):
        msg = f"{show(key)} is set by the platform, choose another label"
        raise ValueError(msg)
    return key


def check_annotation(key: str) -> str:
    """Give it back, or raise ValueError for a pod annotation that loosens security or is the function's own."""
    if key.startswith(OWN_ANNOTATIONS):
        msg = f"{show(key)} is set by the platform, choose another annotation"
        raise ValueError(msg)
    if key.startswith(ANNOTATION_PREFIXES):
        msg = f"{show(key)} would undo the pod's restricted security, leave it out"
        raise ValueError(msg)
    return key
