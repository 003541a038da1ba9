"""What each target's own documents ask for, written down by hand: the call, a good answer, and what is read out of it.

The texts are not made by Remora's code: they are the literal requests, so that a preset that says something else is wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

TOKEN = "t0ken-very-secret"
SIGNING = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ACTION = "act_01JABCDEFGHJKMNPQRSTVWXYZ0"
LOWER = "act-01jabcdefghjkmnpqrstvwxyz0"
CALLBACK = f"https://remora.example/v1/actions/{ACTION}/status"
DATA: dict[str, Any] = {
    "action_id": ACTION,
    "model": "fraud",
    "reason": "accuracy 0.70 is below 0.80",
    "alert": "AccuracyLow",
    "evidence": {"alerts": [{"alert": "AccuracyLow", "metric": "accuracy", "value": 0.7}]},
    "windows": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-08T00:00:00Z"},
    "training": {
        "from": "2026-01-11T00:00:00Z",
        "to": "2026-03-08T00:00:00Z",
        "archive": ["model=fraud/day=2026-01-11", "model=fraud/day=2026-01-12"],
    },
    "callback": {"url": CALLBACK, "token": "eyJ2.c1Zh"},
    "dry_run": False,
    "links": {"model": "https://remora.example/models/fraud"},
}
MESSAGE = {"type": "action.requested", "timestamp": "2026-03-08T12:00:00Z", "data": DATA}
GITHUB = {
    "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28", "authorization": f"Bearer {TOKEN}",
}  # fmt: skip
BEARER = {"authorization": f"Bearer {TOKEN}"}
UPPER = {
    "REMORA_ACTION_ID": ACTION,
    "REMORA_MODEL": "fraud",
    "REMORA_REASON": "accuracy 0.70 is below 0.80",
    "REMORA_TRAIN_FROM": "2026-01-11T00:00:00Z",
    "REMORA_TRAIN_TO": "2026-03-08T00:00:00Z",
    "REMORA_TRAIN_DATA": "model=fraud/day=2026-01-11 model=fraud/day=2026-01-12",
    "REMORA_CALLBACK_URL": CALLBACK,
    "REMORA_CALLBACK_TOKEN": "eyJ2.c1Zh",
}


@dataclass(frozen=True)
class Example:
    """One target: its settings, the request that its documents show, and an answer of its own."""

    kind: str
    settings: dict[str, Any]
    path: str
    body: Any  # JSON; a list of pairs is a form
    headers: dict[str, str]
    status: int
    answer: Any = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    run_id: str | None = None
    run_url: str | None = None  # {url} is the server's
    duplicate: int | None = None
    idempotent: bool = False
    signed: bool = False


EXAMPLES = [
    Example(  # docs.github.com: Create a repository dispatch event
        "github_dispatch", {"with": {"repository": "acme/fraud", "event_type": "retrain"}},
        "/repos/acme/fraud/dispatches", {"event_type": "retrain", "client_payload": {"remora": DATA}}, GITHUB, 204,
    ),
    Example(  # docs.github.com: Create a workflow dispatch event
        "github_workflow", {"with": {"repository": "acme/fraud", "workflow": "retrain.yml"}, "parameters": {"model": "{model}"}},
        "/repos/acme/fraud/actions/workflows/retrain.yml/dispatches",
        {"ref": "main", "inputs": {"model": "fraud"}, "return_run_details": True}, GITHUB, 200,
        {"workflow_run_id": 71, "run_url": "https://api.github.com/x", "html_url": "https://github.com/acme/fraud/actions/runs/71"},
        run_id="71", run_url="https://github.com/acme/fraud/actions/runs/71",
    ),
    Example(  # docs.gitlab.com: Trigger a pipeline with a token
        "gitlab", {"with": {"project": "acme/fraud", "ref": "release"}}, "/api/v4/projects/acme%2Ffraud/trigger/pipeline",
        {"token": TOKEN, "ref": "release", "variables": UPPER}, {}, 201,
        {"id": 258, "web_url": "https://gitlab.example/acme/fraud/-/pipelines/258", "status": "created"},
        run_id="258", run_url="https://gitlab.example/acme/fraud/-/pipelines/258",
    ),
    Example(  # jenkins.io: Remote Access API, parameterised builds
        "jenkins", {"with": {"job": "ml/fraud"}, "user": "remora"}, "/job/ml/job/fraud/buildWithParameters",
        list(UPPER.items()), {"authorization": "Basic cmVtb3JhOnQwa2VuLXZlcnktc2VjcmV0"}, 201,
        answer_headers={"location": "http://jenkins.example/queue/item/9/"},
        run_id="http://jenkins.example/queue/item/9/", run_url="http://jenkins.example/queue/item/9/",
    ),
    Example(  # airflow.apache.org, API 2: Trigger DAG run; logical_date must be there and may be null
        "airflow", {"with": {"dag": "retrain_fraud"}}, "/api/v2/dags/retrain_fraud/dagRuns",
        {"dag_run_id": f"remora__{ACTION}", "logical_date": None, "conf": DATA, "note": "accuracy 0.70 is below 0.80"},
        BEARER, 200, {"dag_run_id": f"remora__{ACTION}", "state": "queued"}, run_id=f"remora__{ACTION}",
        run_url=f"{{url}}/dags/retrain_fraud/runs/remora__{ACTION}", duplicate=409, idempotent=True,
    ),
    Example(  # argo-workflows: WorkflowService_SubmitWorkflow
        "argo_submit", {"with": {"namespace": "ml", "template": "retrain"}, "parameters": {"model": "{model}", "from": "{train_from}"}},
        "/api/v1/workflows/ml/submit",
        {"resourceKind": "WorkflowTemplate", "resourceName": "retrain", "submitOptions": {
            "name": f"remora-{LOWER}", "parameters": ["model=fraud", "from=2026-01-11T00:00:00Z"],
            "labels": f"remora-action={ACTION}"}},
        BEARER, 200, {"metadata": {"name": f"remora-{LOWER}"}}, run_id=f"remora-{LOWER}",
        run_url=f"{{url}}/workflows/ml/remora-{LOWER}", duplicate=409, idempotent=True,
    ),
    Example(  # argo-workflows: Events; only x- headers reach a selector
        "argo_workflow_event", {"with": {"namespace": "ml", "discriminator": "remora"}}, "/api/v1/events/ml/remora", MESSAGE,
        {**BEARER, "x-remora-event-id": ACTION, "x-remora-model": "fraud"}, 200, {}, signed=True,
    ),
    Example(  # argo-events: webhook event source
        "argo_event", {"with": {"endpoint": "retrain/fraud"}}, "/retrain/fraud", MESSAGE,
        {**BEARER, "x-remora-event-id": ACTION}, 200, signed=True,
    ),
    Example(  # kubeflow pipelines v2beta1: RunService_CreateRun
        "kubeflow", {"with": {"pipeline": "p-1", "version": "v-2", "experiment": "e-3"}, "parameters": {"model": "{model}"}},
        "/apis/v2beta1/runs?experiment_id=e-3",
        {"display_name": f"remora-{ACTION}", "pipeline_version_reference": {"pipeline_id": "p-1", "pipeline_version_id": "v-2"},
         "runtime_config": {"parameters": {"model": "fraud"}}},
        BEARER, 200, {"run_id": "r-9", "state": "PENDING"}, run_id="r-9", run_url="{url}/#/runs/details/r-9",
    ),
    Example(  # SageMaker: StartPipelineExecution, behind a function that checks the signature
        "sagemaker", {"with": {"pipeline": "fraud"}, "parameters": {"Model": "{model}"}}, "/fn",
        {"PipelineName": "fraud", "ClientRequestToken": f"remora-{ACTION}",
         "PipelineExecutionDisplayName": "remora-" + ACTION[-20:],
         "PipelineExecutionDescription": "accuracy 0.70 is below 0.80",
         "PipelineParameters": [{"Name": "Model", "Value": "fraud"}]},
        BEARER, 200, {"PipelineExecutionArn": "arn:aws:sagemaker:eu:1:pipeline/fraud/execution/x"},
        run_id="arn:aws:sagemaker:eu:1:pipeline/fraud/execution/x", idempotent=True, signed=True,
    ),
    Example(  # Vertex AI: projects.locations.pipelineJobs.create, behind the same
        "vertex", {"with": {"template": "https://repo.example/fraud.yaml", "root": "gs://fraud/runs"}, "parameters": {"model": "{model}"}},
        "/fn",
        {"pipelineJobId": f"remora-{LOWER}", "pipelineJob": {
            "displayName": f"remora-{ACTION}", "templateUri": "https://repo.example/fraud.yaml",
            "runtimeConfig": {"gcsOutputDirectory": "gs://fraud/runs", "parameterValues": {"model": "fraud"}},
            "labels": {"remora-action": LOWER}}},
        BEARER, 200, {"name": "projects/1/locations/eu/pipelineJobs/x"}, run_id="projects/1/locations/eu/pipelineJobs/x",
        duplicate=409, idempotent=True, signed=True,
    ),
    Example(  # the user's own words
        "http", {"call": {"path": "/start/{model}", "headers": {"x-why": "{alert}"}, "success": [202], "duplicate": [208],
                          "body": {"job": "{name}", "all": "{message}"}, "run_id": "job.id", "idempotent": True},
                 "with": {"name": "nightly"}},
        "/start/fraud", {"job": "nightly", "all": DATA}, {**BEARER, "x-why": "AccuracyLow"}, 202, {"job": {"id": 5}},
        run_id="5", duplicate=208, idempotent=True, signed=True,
    ),
]  # fmt: skip
BY_KIND = {example.kind: example for example in EXAMPLES}
MESSAGE_BYTES = json.dumps(MESSAGE).encode()


def target_of(example: Example, url: str) -> dict[str, Any]:
    """The target's section of remora.yaml."""
    secret = {"secret": SIGNING} if example.signed else {}
    return {"kind": example.kind, "url": url, "token": TOKEN, **secret, **example.settings}
