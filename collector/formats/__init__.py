"""The wire formats that are understood, asked in this order. A new one is a file here and a line in `FORMATS`."""

from collector.formats.base import Answered, Asked, Format, Mapping, Message
from collector.formats.bentoml import BentoMl
from collector.formats.mlflow import Mlflow
from collector.formats.open_inference import OpenInference
from collector.formats.plain_json import PlainJson
from collector.formats.sagemaker import SageMaker
from collector.formats.seldon import Seldon
from collector.formats.tf_serving import TfServing

__all__ = ["FORMATS", "Answered", "Asked", "Format", "Mapping", "Message", "recognise"]

# The narrow ones first: what a path or a telling key decides before what any JSON could be.
FORMATS: tuple[Format, ...] = (
    OpenInference(),
    TfServing(),
    Seldon(),
    Mlflow(),
    SageMaker(),
    BentoMl(),
    PlainJson(),
)


def recognise(request: Message, named: str | None, mapping: Mapping) -> Format | None:
    """The format of a request: the one that the configuration names, or the first that accepts it.

    Where the configuration says where things stand in a body, it means JSON of the user's own.
    """
    if named is None and mapping.points_inside:
        named = PlainJson.name
    if named is not None:
        return next(known for known in FORMATS if known.name == named)
    for known in FORMATS:
        if known.accepts(request):
            return known
    return None
