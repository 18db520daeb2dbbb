"""Values that no claim may have: the field, the value, and what is said of it.

The fault's path is the field itself, and goes on where the value holds the field at fault (`[0].name: …`).
"""

from typing import Any

from tests.support.bad_texts import CIDRS, CRONS, IMAGES, NATS_URLS, SECRET, SECRET_NAMES

LONG = "x" * 300
WINDOW = {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "replicas": 2}
EGRESS = {"cidr": "8.8.8.0/24"}
SPREAD = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}

ROWS: list[tuple[str, Any, str]] = [
    *(("image", value, says) for value, says in IMAGES),
    ("size", "huge", "'huge' is not one of "),
    ("size", "", "'' is not one of "),
    ("size", "Medium", "'Medium' is not one of "),
    ("size", 1, "1 is not a string"),
    ("size", LONG, "…' is not one of "),
    *(("natsUrl", value, says) for value, says in NATS_URLS),
    *((field, value, says) for field in ("postgresConnectionSecret", "llmKeysSecret") for value, says in SECRET_NAMES),
    ("dragonflyConnectionSecret", "agent-executor-postgres", "is the postgresConnectionSecret too"),
    ("llmKeysSecret", "agent-executor-dragonfly", "is the dragonflyConnectionSecret too"),
    ("sise", "small", "unknown field, did you mean 'size'?"),
    ("replicas", 3, "unknown field"),
    ("nats", "x", "'x' is not an object"),
    ("nats.steam", "x", "unknown field, did you mean 'stream'?"),
    *(("nats.stream", value, "is not a NATS name") for value in ("", "A.B", "A*", "A>", "A B", "A/B", "ä", "A\n")),
    ("nats.stream", "x" * 256, "has 256 characters, the most is 255"),
    ("nats.consumer", "a.b", "is not a NATS name"),
    ("nats.statusStream", "a b", "is not a NATS name"),
    ("nats.deadLetterStream", "", "is not a NATS name"),
    *(
        ("nats.subjectPrefix", value, "is not subject tokens")
        for value in ("", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "$SYS", "a\tb")
    ),
    ("nats.subjectPrefix", "x" * 129, "has 129 characters, the most is 128"),
    *(
        ("nats.monitoringEndpoint", value, says)
        for value, says in (
            ("http://nats:8222", "is host:port without a scheme"),
            (f"user:{SECRET}@nats:8222", "is host:port without a scheme or credentials"),
            ("nats", "is not host:port"),
            ("nats:0", "port 0 is not from 1 to 65535"),
            ("nats:8222/varz", "is not host:port"),
            ("localhost:9666", "'localhost' has no namespace, and KEDA is in another: write localhost.ai.svc:9666"),
            ("169.254.169.254:80", "link-local or metadata"),
            ("[fe80::1]:80", "link-local or metadata"),
        )
    ),
    *(("nats.account", value, "is not a NATS account") for value in ("", "a b", "a&b=c", "a/b")),
    *(
        ("postgresSchema", value, says)
        for value, says in (
            ("", "is not a schema name"),
            ("Agent", "is not a schema name"),
            ("1agent", "is not a schema name"),
            ("a-b", "is not a schema name"),
            ('a"; drop table x', "is not a schema name"),
            ("pg_agent", "is PostgreSQL's own"),
            ("information_schema", "is PostgreSQL's own"),
            ("a" * 64, "has 64 characters, the most is 63"),
        )
    ),
    *(
        ("scaling.minReplicas", value, says)
        for value, says in (
            (-1, "-1 is too small, the least is 0"),
            (1.5, "1.5 is not a whole number"),
            ("1", "'1' is not a whole number"),
            (True, "true is not a whole number"),
            (None, "null is not a whole number"),
            (11, "11 is above maxReplicas, which is 10"),
            (1001, "1001 is too large, the most is 1000"),
            (float("nan"), "nan is not a whole number"),
            (float("inf"), "inf is not a whole number"),
            (10**400, "a very large number"),
        )
    ),
    ("scaling.maxReplicas", 0, "0 is too small, the least is 1"),
    ("scaling.maxReplicas", 11, "11 is above the platform's maximum for size medium, which is 10"),
    ("scaling.maxReplicas", "10", "'10' is not a whole number"),
    ("scaling.lagThreshold", 0, "0 is too small, the least is 1"),
    ("scaling.lagThreshold", 1e9, "1000000000 is too large, the most is 100000"),
    ("scaling.lagThreshold", [], "a list is not a whole number"),
    ("scaling.schedule", {}, "an object is not a list"),
    ("scaling.schedule", [WINDOW] * 33, "has more than 32 entries"),
    ("scaling.schedule", [WINDOW, WINDOW], "[1]: is the same window as spec.scaling.schedule[0]"),
    ("scaling.schedule", [WINDOW | {"end": "0  8 * * *"}], "[0]: start and end are both '0 8 * * *'"),
    (
        "scaling.schedule",
        [{"timezone": "UTC", "end": "0 8 * * *", "replicas": 1}],
        "[0].start: is missing, and is required",
    ),
    *(("scaling.schedule", [WINDOW | {"start": value}], f"[0].start: {says}") for value, says in CRONS),
    *(
        ("scaling.schedule", [WINDOW | {"timezone": value}], "[0].timezone: ")
        for value in ("", "Mars/Olympus", "CEST", "europe/berlin", "../etc/passwd", "localtime", 1)
    ),
    ("scaling.schedule", [WINDOW | {"replicas": 0}], "[0].replicas: 0 is too small, the least is 1"),
    ("scaling.schedule", [WINDOW | {"replicas": 11}], "[0].replicas: 11 is above maxReplicas, which is 10"),
    ("concurrency", 0, "0 is too small, the least is 1"),
    ("concurrency", 6, "6 is above the platform's maximum for size medium, which is 5"),
    ("concurrency", 2.5, "2.5 is not a whole number"),
    ("concurrency", False, "false is not a whole number"),
    ("externalSecrets", True, "true is not an object"),
    ("externalSecrets.create", "no", "'no' is not true or false"),
    ("externalSecrets.create", 0, "0 is not true or false"),
    ("externalSecrets.store", "vault", "'vault' is not an object"),
    ("externalSecrets.store", {}, ".name: is missing, and is required"),
    ("externalSecrets.store", {"name": "vault"}, "ClusterSecretStore 'vault' is not a store that the platform allows"),
    (
        "externalSecrets.store",
        {"name": "aws-parameter-store", "kind": "SecretStore"},
        "SecretStore 'aws-parameter-store' is not a store that the platform allows: ClusterSecretStore aws-parameter",
    ),
    (
        "externalSecrets.store",
        {"name": "a", "kind": "Vault"},
        ".kind: 'Vault' is not 'ClusterSecretStore', 'SecretStore'",
    ),
    *(
        ("externalSecrets.parameterPrefix", value, says)
        for value, says in (
            ("", "is not a parameter path"),
            ("zerotouch", "is not a parameter path"),
            ("/", "is not a parameter path"),
            ("/zerotouch/prod/agent-executor/", "is not a parameter path"),
            ("/a//b", "is not a parameter path"),
            ("/a b", "is not a parameter path"),
            ("/zerotouch/prod", "is not below a prefix that the platform allows: /zerotouch/prod/agent-executor"),
            ("/zerotouch/prod/agent-executor2", "is not below a prefix that the platform allows"),
            ("/zerotouch/prod/agent-executor/../billing", "is not a parameter path"),
            ("/other", "is not below a prefix that the platform allows"),
        )
    ),
    *(
        ("externalSecrets.refreshInterval", value, says)
        for value, says in (
            ("", "is not a duration"),
            ("1", "is not a duration"),
            ("1 h", "is not a duration"),
            ("1d", "is not a duration"),
            ("-1h", "is not a duration"),
            ("h", "is not a duration"),
            ("0s", "is not between 1s and 8760h"),
            ("999ms", "is not between 1s and 8760h"),
            ("9000h", "is not between 1s and 8760h"),
            (3600, "3600 is not a string"),
        )
    ),
    ("imagePullSecrets", "regcred", "'regcred' is not a list"),
    ("imagePullSecrets", [{"name": "regcred"}], "[0]: an object is not a string"),
    ("imagePullSecrets", ["a", "b", "a"], "[2]: repeats spec.imagePullSecrets[0]"),
    ("imagePullSecrets", ["A"], "[0]: it is not a name"),
    ("env", {"A": SECRET}, "it is not a list"),
    ("env", [f"API_TOKEN={SECRET}"], "[0]: it is not an object"),
    ("env", [{"name": f"API_TOKEN={SECRET}"}], "[0].name: it is not a name"),
    ("env", [{"value": "x"}], "[0].name: is missing, and is required"),
    ("env", [{"name": "A", "value": 48151623}], "[0].value: it is not a string"),
    ("env", [{"name": "A", "value": "a\0b"}], "[0].value: it is not text without NUL characters"),
    ("env", [{"name": "A", "value": "\ud800"}], "[0].value: has half of a surrogate pair"),
    ("env", [{"name": "A", "value": "x" * 32769}], "[0].value: has 32769 characters, the most is 32768"),
    ("env", [{"name": "A", "valueFrom": {}}], "[0].valueFrom: unknown field, did you mean 'value'?"),
    ("env", [{"name": "A"}, {"name": "A"}], "[1]: has the name of spec.env[0]"),
    *(("env", [{"name": name}], "[0].name: it is not a name") for name in ("", "1A", "A-B", "A.B", "A B", "Ä")),
    *(
        ("env", [{"name": name}], f"[0].name: {name} is set by the platform, choose another name")
        for name in ("NATS_URL", "POSTGRES_PASSWORD", "OPENAI_API_KEY", "HTTP_PORT", "MAX_CONCURRENT_JOBS")
    ),
    ("network.llmEgress", EGRESS, "an object is not a list"),
    *(("network.llmEgress", [EGRESS | {"cidr": value}], f"[0].cidr: {says}") for value, says in CIDRS),
    ("network.llmEgress", [EGRESS | {"ports": []}], "[0].ports: needs at least 1 entries"),
    ("network.llmEgress", [EGRESS | {"ports": [0]}], "[0].ports[0]: 0 is too small, the least is 1"),
    ("network.llmEgress", [EGRESS | {"ports": [65536]}], "[0].ports[0]: 65536 is too large, the most is 65535"),
    ("network.llmEgress", [EGRESS | {"ports": ["443"]}], "[0].ports[0]: '443' is not a whole number"),
    ("network.llmEgress", [EGRESS | {"ports": [443, 443]}], "[0].ports[1]: repeats spec.network.llmEgress[0].ports[0]"),
    (
        "network.llmEgress",
        [EGRESS | {"ports": [22]}],
        "[0].ports[0]: 22 is not a port that the platform allows there: 443",
    ),
    ("network.llmEgress", [{"cidr": "0.0.0.0/0"}], "[0].except: lacks 0.0.0.0/8, 10.0.0.0/8"),
    (
        "network.llmEgress",
        [EGRESS | {"except": ["9.9.9.0/24"]}],
        "[0].except[0]: '9.9.9.0/24' is not a part of 8.8.8.0/24",
    ),
    ("network.llmEgress", [EGRESS | {"except": ["8.8.8.0/24"]}], "[0].except[0]: '8.8.8.0/24' is not a part of"),
    (
        "network.llmEgress",
        [{"cidr": "::ffff:10.0.0.0/104"}],
        "[0].cidr: '::ffff:10.0.0.0/104' is an IPv4 network, write",
    ),
    *(
        (
            "network.llmEgress",
            [{"cidr": cidr}],
            f"[0].cidr: '{cidr}' is inside {closed}, which the platform keeps closed",
        )
        for cidr, closed in (("64:ff9b::a00:0/104", "::/8"), ("2002:a9fe:a9fe::/48", "2002::/16"))
    ),
    ("network.ingressFrom", ["Team"], "[0]: 'Team' is not a name"),
    ("network.ingressFrom", ["a.b"], "[0]: 'a.b' is not a name"),
    ("network.ingressFrom", ["a", "a"], "[1]: repeats spec.network.ingressFrom[0]"),
    ("podTemplate.nodeName", "node-1", "unknown field"),
    ("podTemplate.nodeSelector", {"kubernetes.io/arch": "arm64"}, "'kubernetes.io/arch' is not a node label that the"),
    ("podTemplate.nodeSelector", {"a": "b c"}, ".a: 'b c' is not a label value"),
    ("podTemplate.nodeSelector", {"a": 1}, ".a: 1 is not a string"),
    ("podTemplate.priorityClassName", "system-node-critical", "is not a priority class that the platform allows: none"),
    ("podTemplate.priorityClassName", "A", "'A' is not a name"),
    ("podTemplate.tolerations", [{"operator": "Exists"}], "[0].key: is missing, and is required"),
    ("podTemplate.tolerations", [{"key": "gpu"}], "[0]: 'gpu' is not a toleration that the platform allows: none"),
    (
        "podTemplate.tolerations",
        [{"key": "a", "operator": "Exists", "value": "b"}],
        "[0]: a toleration with the operator",
    ),
    (
        "podTemplate.tolerations",
        [{"key": "a", "tolerationSeconds": 5}],
        "[0]: tolerationSeconds needs the effect NoExecute",
    ),
    ("podTemplate.tolerations", [{"key": "a", "effect": "No"}], "[0].effect: 'No' is not 'NoSchedule'"),
    ("podTemplate.topologySpreadConstraints", [SPREAD | {"maxSkew": 0}], "[0].maxSkew: 0 is too small, the least is 1"),
    ("podTemplate.topologySpreadConstraints", [SPREAD | {"minDomains": 2}], "[0]: minDomains needs whenUnsatisfiable"),
    ("podTemplate.topologySpreadConstraints", [SPREAD | {"matchLabelKeys": ["a"]}], "[0]: matchLabelKeys needs a"),
    ("podTemplate.topologySpreadConstraints", [SPREAD, SPREAD], "[1]: has the topologyKey and whenUnsatisfiable of"),
    (
        "podTemplate.topologySpreadConstraints",
        [SPREAD | {"matchLabelKeys": ["a"], "labelSelector": {"matchLabels": {"a": "b"}}}],
        "[0]: 'a' is in matchLabelKeys and in the labelSelector",
    ),
    (
        "podTemplate.topologySpreadConstraints",
        [SPREAD | {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}],
        "[0].labelSelector.matchExpressions[0]: the operator In needs at least one value",
    ),
    ("podTemplate.labels", {"app": "other"}, ".app: 'app' is set by the platform"),
    (
        "podTemplate.labels",
        {"app.kubernetes.io/name": "x"},
        "['app.kubernetes.io/name']: 'app.kubernetes.io/name' is set",
    ),
    ("podTemplate.labels", {"a/b/c": "x"}, "['a/b/c']: 'a/b/c' is not a label or annotation key"),
    ("podTemplate.labels", {"x" * 64: "x"}, "is too long: 63 characters at most"),
    ("podTemplate.labels", {"a": "x" * 64}, ".a: has 64 characters, the most is 63"),
    ("podTemplate.annotations", {"a": 1}, ".a: 1 is not a string"),
    ("podTemplate.annotations", {f"a{n}": "x" * 30000 for n in range(9)}, "have 270018 bytes together"),
    ("podTemplate.annotations", {"a": "\udfff"}, ".a: has half of a surrogate pair"),
    (
        "podTemplate.annotations",
        {"container.apparmor.security.beta.kubernetes.io/agent-executor": "unconfined"},
        "would undo the pod's restricted security",
    ),
    (
        "podTemplate.annotations",
        {"platform.bizmatters.io/postgres-secret-hash": "d9f75a09"},
        "'platform.bizmatters.io/postgres-secret-hash' is set by the platform",
    ),
    ("paused", "true", "'true' is not true or false"),
    ("paused", 1, "1 is not true or false"),
]


def spec(path: str, value: Any) -> dict[str, Any]:
    """A spec that is right but for one field."""
    whole: dict[str, Any] = {"image": "ghcr.io/org/agent-executor:v1.2.3"}
    *parents, last = path.split(".")
    here = whole
    for name in parents:
        here = here.setdefault(name, {})
    here[last] = value
    return whole
