"""How the operator and its workers are reached: Service, metrics, network policies, disruptions."""

from unit.chart.rendering import NAMESPACE, Chart, Objects

WORKERS = {"app.kubernetes.io/name": "camera-worker", "app.kubernetes.io/managed-by": "camera-operator"}


def test_service_leads_to_the_operators_http_port(chart: Chart) -> None:
    (port,) = chart.objects({"service": {"port": 80}}).one("Service")["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}


def test_helm_test_asks_the_service_whether_the_operator_is_ready(chart: Chart) -> None:
    item = chart.objects({"service": {"port": 80}}).one("Pod")
    assert item["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert item["spec"]["containers"][0]["args"][-1] == f"http://camera-operator.{NAMESPACE}.svc:80/readyz"


def test_a_broken_operator_does_not_keep_a_node_from_being_drained(default: Objects) -> None:
    budget = default.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_pod_monitors_keep_the_cameras_namespace_label(chart: Chart) -> None:
    objects = chart.objects({"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    monitors = objects.of("PodMonitor")
    assert len(monitors) == 2
    for monitor in monitors:
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint == {
            "port": "http",
            "path": "/metrics",
            "interval": "30s",
            "scrapeTimeout": "10s",
            "honorLabels": True,
        }


def test_workers_are_scraped_where_cameras_are(chart: Chart) -> None:
    everywhere = chart.objects({"podMonitor": {"enabled": True}})
    spec = everywhere.one("PodMonitor", "camera-operator-workers")["spec"]
    assert spec["namespaceSelector"] == {"any": True}
    assert spec["selector"]["matchLabels"] == WORKERS
    somewhere = chart.objects({"podMonitor": {"enabled": True}, "watchNamespaces": ["markets", "traffic"]})
    spec = somewhere.one("PodMonitor", "camera-operator-workers")["spec"]
    assert spec["namespaceSelector"] == {"matchNames": ["markets", "traffic"]}


def test_default_policy_opens_the_http_port_and_leaves_egress_alone(default: Objects) -> None:
    spec = default.one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert "egress" not in spec


def test_ingress_can_be_restricted(chart: Chart) -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    (rule,) = chart.objects({"networkPolicy": {"ingress": {"from": peers}}}).one("NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == peers


def test_restricted_egress_reaches_dns_the_api_server_and_workers(chart: Chart) -> None:
    extra = [{"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}]
    egress = {"enabled": True, "apiServerPorts": [16443], "apiServerCIDRs": ["192.0.2.10/32"], "extra": extra}
    values = {"networkPolicy": {"egress": egress}, "watchNamespaces": ["markets"]}
    spec = chart.objects(values).one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    dns, api_server, workers, further = spec["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert api_server == {
        "ports": [{"port": 16443, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}],
    }
    (peer,) = workers["to"]
    assert peer["podSelector"]["matchLabels"] == WORKERS
    assert peer["namespaceSelector"]["matchExpressions"][0]["values"] == ["markets"]
    assert further == extra[0]


def test_workers_are_reached_by_operator_each_other_and_whom_the_user_names(chart: Chart) -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    objects = chart.objects(
        {
            "watchNamespaces": ["markets", "traffic"],
            "networkPolicy": {"workers": {"enabled": True, "from": [prometheus]}},
        }
    )
    policies = [policy for policy in objects.of("NetworkPolicy") if policy["metadata"]["namespace"] != NAMESPACE]
    assert [policy["metadata"]["namespace"] for policy in policies] == ["markets", "traffic"]
    for policy in policies:
        assert policy["spec"]["podSelector"]["matchLabels"] == WORKERS
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        (rule,) = policy["spec"]["ingress"]
        operator, workers, named = rule["from"]
        assert operator["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
        assert operator["podSelector"] == objects.one("Deployment")["spec"]["selector"]
        assert workers == {"podSelector": {"matchLabels": WORKERS}}
        assert named == prometheus


def test_workers_policy_without_namespaces_is_refused_with_the_reason(chart: Chart) -> None:
    message = chart.refusal({"networkPolicy": {"workers": {"enabled": True}}})
    assert "networkPolicy.workers.enabled needs watchNamespaces" in message
