"""The manifests of deploy/kubernetes/ are what Kubernetes, Flink's operator and streamlearn itself take."""

import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from flask import Flask
from stacks import ROOT

from flink_jobs.checkpoints import savepoint_folder
from flink_jobs.java import distribution
from serving.launch import build_command
from streamlearn.cli.main import main
from streamlearn.local import probe
from streamlearn.local.configuration import QUIET, build_flink_options
from streamlearn.settings import Settings, inherit_env, variable_name

FOLDER = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KUBERNETES = ("1.30", "1.37")
"""The oldest version that the manifests are for, and the newest that is known here."""

NEWER_FLINKS = ["v2_0", "v2_1", "v2_2"]
"""The versions of Flink that operators newer than the one in `jars/operator` know as well."""

Manifest = dict[str, Any]


def load_base() -> list[Manifest]:
    """Return the manifests that the kustomization lists, as they stand in the files."""
    names = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    return [
        manifest for name in names for manifest in yaml.safe_load_all((FOLDER / "base" / name).read_text())
    ]


BASE = load_base()
FLINK: Manifest = next(manifest for manifest in BASE if manifest["kind"] == "FlinkDeployment")
SETTINGS: dict[str, str] = next(manifest["data"] for manifest in BASE if manifest["kind"] == "ConfigMap")


def identify(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def find(kind: str, name: str) -> Manifest:
    return next(manifest for manifest in BASE if identify(manifest) == f"{kind} streamlearn-{name}")


def list_pods() -> dict[str, Manifest]:
    """Return the specifications of all pods, by the name of what they are made for."""
    pods = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in BASE
        if manifest["kind"] == "Deployment"
    }
    return {**pods, FLINK["metadata"]["name"]: FLINK["spec"]["podTemplate"]["spec"]}


PODS = list_pods()
each_pod = pytest.mark.parametrize("name", PODS)
each_manifest = pytest.mark.parametrize("manifest", BASE, ids=identify)


def build(folder: str) -> list[Manifest]:
    """Return what kustomize makes of a folder."""
    if shutil.which("kustomize"):
        command = ["kustomize", "build"]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    else:
        pytest.skip("neither kustomize nor kubectl is installed")
    process = subprocess.run(
        [*command, str(FOLDER / folder)], env=inherit_env(), capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return list(yaml.safe_load_all(process.stdout))


@pytest.fixture(scope="module")
def flink_schema() -> Manifest:
    """The specification of a FlinkDeployment as the operator defines it, which takes no unknown field."""
    [jar] = distribution.resolve_jars("operator", Settings.load())
    with zipfile.ZipFile(jar) as archive:
        text = archive.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml")
    [version] = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"]
    assert version["name"] == FLINK["apiVersion"].split("/")[1]
    schema: Manifest = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["flinkVersion"]["enum"] += NEWER_FLINKS
    for part in walk(schema):
        if "properties" in part and not part.get("x-kubernetes-preserve-unknown-fields"):
            part["additionalProperties"] = False
    return schema


def walk(schema: Any) -> Iterator[Manifest]:
    """Yield a schema and all schemas in it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from walk(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from walk(value)


def validate(manifest: Manifest, flink_schema: Manifest) -> None:
    if manifest["kind"] == "FlinkDeployment":
        jsonschema.validate(manifest["spec"], flink_schema)
        manifest = {"apiVersion": "v1", "kind": "Pod", **manifest["spec"]["podTemplate"]}
    for version in KUBERNETES:
        kubernetes_validate.validate(manifest, version, strict=True)


@each_manifest
def test_a_manifest_has_the_form_that_its_kind_has(manifest: Manifest, flink_schema: Manifest) -> None:
    validate(manifest, flink_schema)


@pytest.mark.parametrize("folder", ["base", "example"])
def test_kustomize_builds_the_manifests_and_they_are_valid(folder: str, flink_schema: Manifest) -> None:
    built = build(folder)
    assert sorted(map(identify, built)) == sorted(map(identify, BASE))
    for manifest in built:
        validate(manifest, flink_schema)
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "streamlearn"


def test_the_example_changes_every_image_and_names_what_must_be_set() -> None:
    built = {identify(manifest): manifest for manifest in build("example")}
    images = re.findall(r"'image': '([^']*)'", str(list(built.values())))
    assert len(images) == 3
    assert all(image.startswith("registry.example/") for image in images)
    assert (
        built["ConfigMap streamlearn-settings"]["data"]["STREAMLEARN_KAFKA"] != SETTINGS["STREAMLEARN_KAFKA"]
    )


def test_every_file_of_the_base_is_listed() -> None:
    listed = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in (FOLDER / "base").iterdir()}
    assert files == {*listed, "kustomization.yaml"}


def test_every_setting_that_is_named_exists_and_has_a_value_that_it_can_have() -> None:
    text = "".join(path.read_text() for path in FOLDER.rglob("*.yaml"))
    names = {variable_name(option.name) for option in fields(Settings)}
    assert set(re.findall(r"STREAMLEARN_[A-Z0-9_]+", text)) <= names
    Settings.load(SETTINGS)


def test_no_secret_is_kept_in_the_manifests() -> None:
    secrets = {variable_name(option.name) for option in fields(Settings) if option.metadata["secret"]}
    assert len(secrets) > 3
    assert not secrets & SETTINGS.keys()
    assert "Secret" not in {manifest["kind"] for manifest in BASE}


@each_pod
def test_every_pod_has_the_settings_and_the_secrets(name: str) -> None:
    [container] = PODS[name]["containers"]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "streamlearn-settings"}},
        {"secretRef": {"name": "streamlearn-secrets"}},
    ]


@each_pod
def test_no_pod_may_more_than_it_must(name: str) -> None:
    """The namespace lets no others in."""
    pod, [container] = PODS[name], PODS[name]["containers"]
    user = int(re.search(r"useradd --uid (\d+)", DOCKERFILE)[1])  # type: ignore[index]
    assert pod["securityContext"]["runAsNonRoot"]
    assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {user}
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    if name != "streamlearn-flink":
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {"cpu", "memory"} == container["resources"]["limits"].keys()
        assert not pod["automountServiceAccountToken"]


@each_pod
def test_every_volume_is_mounted_where_the_image_writes(name: str) -> None:
    [container] = PODS[name]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in PODS[name]["volumes"]}
    paths = dict(re.findall(r"^(?:ENV)?\s+(STREAMLEARN_\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    if "checkpoints" in mounts:
        assert mounts["checkpoints"] == paths["STREAMLEARN_CHECKPOINT_DIR"]
        claims = [volume.get("persistentVolumeClaim") for volume in PODS[name]["volumes"]]
        assert {"claimName": find("PersistentVolumeClaim", "checkpoints")["metadata"]["name"]} in claims
    if "home" in mounts:
        assert mounts["home"] == paths["STREAMLEARN_HOME"]


def test_images_and_what_runs_in_them_exist() -> None:
    targets = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)
    server, submitter = (PODS[f"streamlearn-{name}"]["containers"][0] for name in ("server", "submitter"))
    for image in (FLINK["spec"]["image"], server["image"], submitter["image"]):
        assert image.removeprefix("streamlearn-") in targets
    assert DOCKERFILE.count('ENTRYPOINT ["streamlearn"]') == 3
    assert server["args"] == ["serve"]
    assert submitter["args"] == ["container", "submitter"]
    assert {"serve", "container"} <= set(main.list_commands(None))  # type: ignore[arg-type]
    *module, part = submitter["readinessProbe"]["exec"]["command"]
    assert module == ["python", "-m", probe.__name__]
    assert part in probe.PROBES


def test_probes_ask_routes_that_answer_under_the_name_that_they_use(make_app: Callable[..., Flask]) -> None:
    [container] = PODS["streamlearn-server"]["containers"]
    client = make_app(http_hosts=SETTINGS["STREAMLEARN_HTTP_HOSTS"]).test_client()
    statuses = {}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        request = container[name]["httpGet"]
        headers = {header["name"]: header["value"] for header in request["httpHeaders"]}
        statuses[name] = client.get(request["path"], headers=headers).status_code
        assert request["port"] == "http"
    # No model has been learned yet.
    assert statuses == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}
    assert client.get("/v2/health/live", headers={"Host": "10.0.0.7"}).status_code == 400


def test_ports_and_addresses_agree() -> None:
    settings = Settings.load(SETTINGS)
    [port] = PODS["streamlearn-server"]["containers"][0]["ports"]
    assert (port["name"], port["containerPort"]) == ("http", settings.http_port)
    assert "0.0.0.0:8066" in build_command(settings)
    [served] = find("Service", "server")["spec"]["ports"]
    assert served["targetPort"] == port["name"]
    assert find("Service", "server")["metadata"]["name"] in settings.http_hosts.split(",")
    # Flink calls its service so, and leaves its port at 8081.
    assert settings.flink == f"http://{FLINK['metadata']['name']}-rest:8081"
    assert "rest.port" not in FLINK["spec"]["flinkConfiguration"]
    [metrics] = PODS["streamlearn-flink"]["containers"][0]["ports"]
    assert str(metrics["containerPort"]) == FLINK["spec"]["flinkConfiguration"]["metrics.reporter.prom.port"]


def test_what_selects_pods_finds_them() -> None:
    for name in ("server", "submitter"):
        deployment = find("Deployment", name)["spec"]
        assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    labels = find("Deployment", "server")["spec"]["template"]["metadata"]["labels"]
    assert find("Service", "server")["spec"]["selector"] == labels
    assert find("PodDisruptionBudget", "server")["spec"]["selector"]["matchLabels"] == labels
    target = find("HorizontalPodAutoscaler", "server")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "streamlearn-server")
    assert "replicas" not in find("Deployment", "server")["spec"], "they are the autoscaler's"
    # Flink calls its pods so.
    policy = find("NetworkPolicy", "flink")["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app": FLINK["metadata"]["name"]}
    own = policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert own.items() <= FLINK["spec"]["podTemplate"]["metadata"]["labels"].items()
    kustomization = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())
    assert kustomization["labels"] == [{"pairs": own, "includeTemplates": True}]


def test_one_submitter_runs_at_a_time() -> None:
    deployment = find("Deployment", "submitter")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


def test_flink_is_told_what_it_is_told_elsewhere() -> None:
    told = FLINK["spec"]["flinkConfiguration"]
    home = Path("/var/lib/streamlearn")
    settings = Settings(home=home, flink="http://elsewhere:8081", checkpoint_dir=str(home / "checkpoints"))
    local = build_flink_options(settings, home / "flink")
    # The operator, or Flink on Kubernetes, sets these by itself.
    others = r"(jobmanager\.|rest\.|taskmanager\.bind-host|taskmanager\.memory\.process|env\.java|io\.tmp)"
    expected = {key: value for key, value in local.items() if not re.match(others, key)}
    slots = "taskmanager.numberOfTaskSlots"
    assert {key: told.get(key) for key in expected if key != slots} == {
        key: value for key, value in expected.items() if key != slots
    }
    assert told["execution.checkpointing.savepoint-dir"] == savepoint_folder(settings).as_uri()
    bundled = yaml.safe_load((distribution.find_flink_home() / "conf" / "config.yaml").read_text())
    assert told["env.java.opts.all"] == bundled["env"]["java"]["opts"]["all"]
    assert QUIET.strip() in FLINK["spec"]["logConfiguration"]["log4j-console.properties"]


def test_a_jobmanager_leaves_what_it_knows_to_the_next_one() -> None:
    told = FLINK["spec"]["flinkConfiguration"]
    assert told["high-availability.type"] == "kubernetes"
    [mount] = PODS["streamlearn-flink"]["containers"][0]["volumeMounts"]
    assert told["high-availability.storageDir"].startswith(f"file://{mount['mountPath']}/")
    assert FLINK["spec"]["jobManager"]["replicas"] > 1
    assert find("PersistentVolumeClaim", "checkpoints")["spec"]["accessModes"] == ["ReadWriteMany"]
    account = find("ServiceAccount", "flink")["metadata"]["name"]
    assert FLINK["spec"]["serviceAccount"] == account
    assert find("RoleBinding", "flink")["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    [core, _] = find("Role", "flink")["rules"]
    assert core["resources"] == ["pods", "configmaps"]


def test_there_are_free_task_slots_before_a_job_asks_for_them() -> None:
    """The submitter counts them, and Flink starts TaskManagers on demand only."""
    told = FLINK["spec"]["flinkConfiguration"]
    assert int(told["slotmanager.number-of-slots.min"]) >= int(told["taskmanager.numberOfTaskSlots"]) > 0


def test_the_image_is_what_flink_on_kubernetes_expects() -> None:
    """By Flink's defaults: the program, the folder of its configuration, and its scripts on the path."""
    flink = distribution.find_flink_home()
    assert {"kubernetes-jobmanager.sh", "kubernetes-taskmanager.sh"} <= {
        path.name for path in (flink / "bin").iterdir()
    }
    image = DOCKERFILE.split("FROM base AS flink\n")[1]
    variables = dict(re.findall(r"(\w+)=(/\S+)", image))
    assert variables["FLINK_CONF_DIR"] == "/opt/flink/conf"
    packages = Path("/opt/venv/lib/python3.11/site-packages")
    java = distribution.find_java_home()
    assert variables["JAVA_HOME"] == str(packages / java.parent.name / java.name)
    assert f"ln -s {packages / flink.name / 'bin'} /opt/flink/bin" in image
    assert "ENV PATH=/opt/flink/bin:$PATH" in image
    assert "> /docker-entrypoint.sh" in image
    assert distribution.library_folder(Settings(home=Path("/opt"))) == Path(variables["FLINK_LIB_DIR"])
