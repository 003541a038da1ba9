"""The calls that start a model update, as data: what is asked of each target, and what its answers mean.

`{name}` is filled in from `with`, from the message (`alerts.calls.words`) and from the target's credentials; a text that
is `{message}` alone becomes the whole message. Nothing here is code, so a new target is an entry in this list, its words
in `remora.config.targets` and an example in `tests/example_targets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["PRESETS", "Preset"]

_WORDS = {
    "REMORA_ACTION_ID": "{action_id}",
    "REMORA_MODEL": "{model}",
    "REMORA_REASON": "{reason}",
    "REMORA_TRAIN_FROM": "{train_from}",
    "REMORA_TRAIN_TO": "{train_to}",
    "REMORA_TRAIN_DATA": "{train_data}",
    "REMORA_CALLBACK_URL": "{callback_url}",
    "REMORA_CALLBACK_TOKEN": "{callback_token}",
}
_NAMES = {name.removeprefix("REMORA_").lower(): text for name, text in _WORDS.items()}
_GITHUB = {
    "accept": "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
}


@dataclass(frozen=True)
class Preset:
    """One call. `parameters` are what the run is given, and stand in the body where `{parameters}` does."""

    path: str
    body: Mapping[str, Any] | Literal["message", "form"] = "message"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: Literal["bearer", "basic", "none"] = "bearer"
    parameters: Mapping[str, str] = field(default_factory=dict)
    shape: Literal["object", "pairs", "named"] = (
        "object"  # of the parameters: {k: v}, ["k=v"], [{Name, Value}]
    )
    success: tuple[int, ...] = (200,)
    duplicate: tuple[int, ...] = ()
    """Answers that mean that it was started before."""
    idempotent: bool = False
    """The same call twice starts it once: where no answer came it may be made again."""
    run_id: str | None = None
    """Dotted path into the answer; `header:location` is a header."""
    run_url: str | None = None
    """The same, or a text with `{url}`, `{run_id}` and the words of `with`."""


PRESETS: dict[str, Preset] = {
    # GitHub: client_payload has at most ten keys and inputs are texts that the workflow must declare.
    "github_dispatch": Preset(
        "/repos/{repository}/dispatches",
        {"event_type": "{event_type}", "client_payload": {"remora": "{message}"}},
        headers=_GITHUB,
        success=(204,),
    ),
    "github_workflow": Preset(
        "/repos/{repository}/actions/workflows/{workflow}/dispatches",
        {"ref": "{ref}", "inputs": "{parameters}", "return_run_details": True},
        headers=_GITHUB,
        parameters={"remora": "{message_json}"},
        success=(200, 204),
        run_id="workflow_run_id",
        run_url="html_url",
    ),
    "gitlab": Preset(
        "/api/v4/projects/{project}/trigger/pipeline",
        {"token": "{token}", "ref": "{ref}", "variables": "{parameters}"},
        auth="none",  # the trigger's token stands in the body
        parameters=_WORDS,
        success=(201,),
        run_id="id",
        run_url="web_url",
    ),
    "jenkins": Preset(
        "/job/{job}/buildWithParameters",
        "form",
        auth="basic",
        parameters=_WORDS,
        success=(201,),
        run_id="header:location",
        run_url="header:location",
    ),
    "airflow": Preset(
        "/api/v2/dags/{dag}/dagRuns",
        {"dag_run_id": "remora__{action_id}", "logical_date": None, "conf": "{message}", "note": "{reason}"},
        duplicate=(409,),
        idempotent=True,
        run_id="dag_run_id",
        run_url="{url}/dags/{dag}/runs/remora__{action_id}",
    ),
    "argo_submit": Preset(
        "/api/v1/workflows/{namespace}/submit",
        {
            "resourceKind": "WorkflowTemplate",
            "resourceName": "{template}",
            "submitOptions": {
                "name": "remora-{action_id_lower}",
                "parameters": "{parameters}",
                "labels": "remora-action={action_id}",
            },
        },
        parameters=_NAMES,
        shape="pairs",
        duplicate=(409,),
        idempotent=True,
        run_id="metadata.name",
        run_url="{url}/workflows/{namespace}/remora-{action_id_lower}",
    ),
    "argo_workflow_event": Preset(  # only x- headers reach a selector
        "/api/v1/events/{namespace}/{discriminator}",
        "message",
        headers={"x-remora-event-id": "{action_id}", "x-remora-model": "{model}"},
    ),
    "argo_event": Preset("/{endpoint}", "message", headers={"x-remora-event-id": "{action_id}"}),
    "kubeflow": Preset(
        "/apis/v2beta1/runs{experiment_query}",
        {
            "display_name": "remora-{action_id}",
            "pipeline_version_reference": {"pipeline_id": "{pipeline}", "pipeline_version_id": "{version}"},
            "runtime_config": {"parameters": "{parameters}"},
        },
        run_id="run_id",
        run_url="{url}/#/runs/details/{run_id}",
    ),
    # What boto3's start_pipeline_execution and Vertex's create take, signed, for a function of the user's to pass on.
    "sagemaker": Preset(
        "",
        {
            "PipelineName": "{pipeline}",
            "ClientRequestToken": "remora-{action_id}",
            "PipelineExecutionDisplayName": "remora-{action_id_short}",
            "PipelineExecutionDescription": "{reason}",
            "PipelineParameters": "{parameters}",
        },
        parameters={"".join(part.title() for part in name.split("_")): text for name, text in _NAMES.items()},
        shape="named",
        success=(200, 201, 202),
        idempotent=True,
        run_id="PipelineExecutionArn",
    ),
    "vertex": Preset(
        "",
        {
            "pipelineJobId": "remora-{action_id_lower}",
            "pipelineJob": {
                "displayName": "remora-{action_id}",
                "templateUri": "{template}",
                "runtimeConfig": {"gcsOutputDirectory": "{root}", "parameterValues": "{parameters}"},
                "labels": {"remora-action": "{action_id_lower}"},
            },
        },
        parameters=_NAMES,
        success=(200, 201, 202),
        duplicate=(409,),
        idempotent=True,
        run_id="name",
    ),
    "webhook": Preset("", "message", success=(), idempotent=True),  # any 2xx; known by its webhook-id
}
