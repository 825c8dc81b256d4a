"""The conformance statement of the node as it is joined here."""

from importlib.metadata import version

from ingest.conformance import statement
from ingest.node.verification import VerificationService
from lastgate.reception import services_of
from lastgate.wiring import House


def statement_of(house: House) -> str:
    """Return the DICOM conformance statement; it holds for default settings, whatever those of the house are."""
    services = (VerificationService(), *services_of(house))
    offered = [context for service in services for context in service.contexts()]
    return statement(offered, version=version("lastgate"))
