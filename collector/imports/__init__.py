"""Files of predictions and labels that other systems logged. A new source is a file here and a line in `SOURCES`."""

from collector.imports.azure import AzureCollector
from collector.imports.base import Context, Found, Place, Source
from collector.imports.bentoml import BentoMonitor
from collector.imports.databricks import DatabricksTable
from collector.imports.kserve import KserveBlobs
from collector.imports.sagemaker import SageMakerCapture, SageMakerTruth
from collector.imports.tables import TableRows
from collector.imports.vertex import VertexLog

__all__ = ["SOURCES", "Context", "Found", "Place", "Source"]

# Asked in this order whether they know an item; the last one takes any row.
SOURCES = (
    SageMakerCapture,
    SageMakerTruth,
    AzureCollector,
    KserveBlobs,
    DatabricksTable,
    VertexLog,
    BentoMonitor,
    TableRows,
)
