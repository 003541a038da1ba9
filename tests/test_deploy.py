"""What is deployed: the compose file, the Kubernetes example and the Dockerfile, against their schemas and our promises.

No container engine is needed. That the images build, run and drain is tried by hand; the README says when.
"""

from __future__ import annotations

import json
import re
import runpy
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from remora.config import load, parse
from remora.settings import parse_address, parse_http_url

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
MANIFEST = ROOT / "deploy" / "kubernetes" / "example.yaml"
RESOURCES = list(yaml.safe_load_all(MANIFEST.read_text()))


def variables(text):
    return set(re.findall(r"\$\{([A-Z_]+)", text))


def without_comments(path):
    return "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))


# --- docker-compose.yml


def test_the_compose_file_satisfies_the_compose_specification():
    schema = json.loads((ROOT / "tests" / "schemas" / "compose-spec.json").read_text())
    errors = [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(COMPOSE)]
    assert errors == []


def test_every_part_is_there():
    assert set(SERVICES) == {"model", "sidecar", "server", "migrate", "postgres", "prometheus", "grafana"}


def test_nothing_runs_as_root_or_may_become_it():
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_only_what_people_open_is_published_and_only_on_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"sidecar", "server", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_it_refuses_to_start_without_secrets_and_the_example_names_each():
    text = without_comments(ROOT / "docker-compose.yml")
    assert variables(text) == set(re.findall(r"\$\{([A-Z_]+):\?", text))
    lines = without_comments(ROOT / ".env.example").split()
    assert {line.removesuffix("=") for line in lines} == variables(text)
    assert ".env" in (ROOT / ".gitignore").read_text().split()


def test_what_is_mounted_is_in_the_repository():
    mounts = [v for service in SERVICES.values() for v in service.get("volumes", []) if v.startswith("./")]
    assert len(mounts) >= 6
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (ROOT / source).exists(), source
        assert mode == "ro", mount


def test_every_service_says_whether_it_is_well():
    in_the_image = {"sidecar", "server"}
    for name in set(SERVICES) - in_the_image:
        assert "healthcheck" in SERVICES[name], name
    assert without_comments(ROOT / "Dockerfile").count("HEALTHCHECK") == len(in_the_image)


def test_neighbours_are_called_by_their_names():
    environment = SERVICES["sidecar"]["environment"]
    for variable in ("REMORA_UPSTREAM", "REMORA_FORWARD"):
        url = parse_http_url(environment[variable], variable)
        assert re.match(r"http://(\w+):", url)[1] in SERVICES
    assert parse_address(environment["REMORA_LISTEN"], "--listen").port == 8080
    assert environment["REMORA_FORWARD_TOKEN"] == SERVICES["server"]["environment"]["REMORA_TOKEN"]


def test_its_remora_yaml_is_right():
    config = load(ROOT / "deploy" / "compose" / "remora.yaml")
    assert SERVICES["sidecar"]["environment"]["REMORA_MODEL"] in config.models
    assert config.schedule.clock == "system"


def test_grafana_is_told_what_its_provisioning_asks_for():
    asked = set()
    for file in (ROOT / "dashboards" / "grafana" / "provisioning").rglob("*.yaml"):
        asked |= variables(without_comments(file))
    assert asked
    assert asked <= set(SERVICES["grafana"]["environment"])


def test_prometheus_scrapes_the_server_and_the_sidecar():
    config = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yml").read_text())
    targets = [job["static_configs"][0]["targets"][0] for job in config["scrape_configs"]]
    assert {target.split(":")[0] for target in targets} == {"server", "sidecar"}
    token_file = {job["authorization"]["credentials_file"] for job in config["scrape_configs"]}
    assert len(token_file) == 1
    assert token_file.pop() in " ".join(SERVICES["prometheus"]["entrypoint"])


# --- deploy/kubernetes


def find(kind, name):
    return next(r for r in RESOURCES if r["kind"] == kind and r["metadata"]["name"] == name)


def pods():
    return [r["spec"]["template"]["spec"] for r in RESOURCES if r["kind"] == "Deployment"]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("version", ["1.30", "1.33", "1.37"])
def test_the_manifest_satisfies_the_schemas_of_kubernetes(version):
    for resource in RESOURCES:
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_sidecar_is_native_last_and_never_in_the_models_way():
    sidecar = find("Deployment", "flights")["spec"]["template"]["spec"]["initContainers"][-1]
    assert sidecar["args"] == ["sidecar"]
    assert sidecar["restartPolicy"] == "Always"
    assert not {"startupProbe", "readinessProbe", "lifecycle"} & set(sidecar)
    assert "tcpSocket" in sidecar["livenessProbe"]


def test_the_service_leads_to_the_sidecar():
    target = find("Service", "flights")["spec"]["ports"][0]["targetPort"]
    sidecar = find("Deployment", "flights")["spec"]["template"]["spec"]["initContainers"][-1]
    assert target in {port["name"] for port in sidecar["ports"]}


def test_pods_are_restricted():
    assert len(pods()) == 2
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_what_containers_mount_and_read_exists():
    secret, config = find("Secret", "remora")["stringData"], find("ConfigMap", "remora")["data"]
    read = set()
    for pod in pods():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            sources = [v["valueFrom"]["secretKeyRef"] for v in container["env"] if "valueFrom" in v]
            read |= {source["key"] for source in sources}
    assert read == set(secret)
    assert find("PersistentVolumeClaim", "remora-server")
    parse(config["remora.yaml"], "remora.yaml")


# --- Dockerfile


def test_the_dockerfile_keeps_its_promises():
    text = without_comments(ROOT / "Dockerfile")
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    assert {source for source, _ in stages} - {name for _, name in stages} == {"python:3.11-slim-bookworm"}
    assert {"sidecar", "server"} <= {name for _, name in stages}
    assert "USER 10001" in text
    installs = re.findall(r"pip (?:install|wheel)[^&\n]*", text)
    assert len(installs) == 5
    assert all("--no-cache-dir" in install for install in installs)
    for command in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE):
        assert isinstance(json.loads(command), list)


def test_only_what_images_need_goes_to_the_engine():
    allowed = [line[1:] for line in without_comments(ROOT / ".dockerignore").split() if line.startswith("!")]
    for name in allowed:
        assert (ROOT / name).exists(), name
    packages = re.search(
        r"^packages = \[(\"remora\".*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert {name.strip('" ') for name in packages[1].split(",")} <= set(allowed)


class Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_the_health_check_asks_its_own_process(monkeypatch):
    ask = runpy.run_path(str(ROOT / "deploy" / "healthcheck.py"))["main"]
    with HTTPServer(("127.0.0.1", 0), Well) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("REMORA_LISTEN", f"0.0.0.0:{server.server_port}")
        assert (ask("/healthz"), ask("/readyz")) == (0, 1)
        server.shutdown()
        thread.join()
    assert ask("/healthz") == 1
