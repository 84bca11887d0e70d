import inspect
from typing import Any

import botocore.session
import psycopg
import pytest
from botocore import exceptions

from connectors import Connector, errors
from connectors.errors import ConnectorError, WarehouseError
from connectors.redshift import errors as redshift_errors
from connectors.redshift.errors import DETAILS

# How a compute node's error looks on the wire.
DETAIL = """
  -----------------------------------------------
  error:  {text}
  code:      {code}
  context:   64 bit overflow
  query:     982615
  location:  numeric.hpp:161
  process:   query0_68 [pid=17689]
  -----------------------------------------------
"""


@pytest.fixture
def fail(owner: psycopg.Connection[Any]) -> None:
    """`scratch.fail(sqlstate, detail)` fails as it is told."""
    owner.execute(
        "CREATE FUNCTION scratch.fail(state text, said text) RETURNS int LANGUAGE plpgsql AS $$"
        "BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'secret text', DETAIL = said; END"
        "$$"
    )


def failure(warehouse: Connector, state: str, detail: str = "") -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        warehouse.query("SELECT scratch.fail(%s, %s)", (state, detail)).read_all()
    assert "secret text" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("code", list(DETAILS))
def test_an_internal_error_is_told_by_the_code_in_its_detail(
    warehouse: Connector, fail: None, code: int
) -> None:
    kind, sentence = DETAILS[code]
    found = failure(warehouse, "XX000", DETAIL.format(text="what happened", code=code))
    assert (type(found), str(found)) == (kind, sentence)


@pytest.mark.parametrize(
    "detail", ["", "nothing to see", DETAIL.format(text="Assert", code=1000), "code: 10160"]
)
def test_an_internal_error_that_no_table_knows_is_terminal(
    warehouse: Connector, fail: None, detail: str
) -> None:
    found = failure(warehouse, "XX000", detail)
    assert type(found) is WarehouseError
    assert not found.retryable


@pytest.mark.parametrize(
    ("state", "kind", "retryable"),
    [
        ("42601", errors.SqlInvalid, False),
        ("42P01", errors.ObjectNotFound, False),
        ("42703", errors.ObjectNotFound, False),
        ("42883", errors.ObjectNotFound, False),
        ("42501", errors.PermissionDenied, False),
        ("25006", errors.PermissionDenied, False),
        ("0A000", errors.SqlInvalid, False),
        ("22012", errors.DataError, False),
        ("53300", errors.WarehouseBusy, True),
        ("55P03", errors.WarehouseBusy, True),
        ("57014", errors.QueryCancelled, False),
        ("57P01", errors.ConnectionLost, True),
        ("ZZ123", WarehouseError, False),
    ],
)
def test_sqlstates_become_our_errors(
    warehouse: Connector, fail: None, state: str, kind: type[ConnectorError], retryable: bool
) -> None:
    found = failure(warehouse, state)
    assert type(found) is kind
    assert found.retryable is retryable


@pytest.mark.parametrize(
    ("service", "operation"),
    [("redshift", "GetClusterCredentials"), ("redshift-serverless", "GetCredentials")],
)
def test_every_error_that_aws_declares_for_the_call_is_mapped(service: str, operation: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    for shape in model.operation_model(operation).error_shapes:
        code = shape.metadata.get("error", {}).get("code", shape.name)
        exc = exceptions.ClientError({"Error": {"Code": code}}, operation)
        assert redshift_errors.error_for(exc) is not None, code


UNMAPPED = frozenset(
    """AliasConflictParameterError ApiVersionNotFoundError AwsChunkedWrapperError
    BaseEndpointResolverError BotoCoreError CapacityNotAvailableError ChecksumError
    DataNotFoundError EndpointProviderError EndpointResolutionError EndpointVariantError
    FlexibleChecksumError ImminentRemovalWarning InvalidChecksumConfigError InvalidDNSNameError
    InvalidDefaultsMode InvalidEndpointConfigurationError
    InvalidEndpointDiscoveryConfigurationError InvalidExpressionError InvalidHostLabelError
    InvalidIMDSEndpointError InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError
    InvalidProxiesConfigError InvalidRegionError InvalidRetryConfigurationError
    InvalidRetryModeError InvalidS3AddressingStyleError
    InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError
    MD5UnavailableError MissingDependencyException MissingParametersError MissingServiceIdError
    NoRegionError OperationNotPageableError PaginationError RangeError ServiceNotInRegionError
    StubAssertionError StubResponseError UnStubbedResponseError UndefinedModelAttributeError
    UnknownClientMethodError UnknownEndpointError UnknownEndpointResolutionBuiltInName
    UnknownFIPSEndpointError UnknownKeyError UnknownParameterError UnknownRegionError
    UnknownServiceError UnknownServiceStyle UnknownSignatureVersionError
    UnknownTokenProviderError UnseekableStreamError UnsupportedOutpostResourceError
    UnsupportedS3AccesspointConfigurationError UnsupportedS3ArnError
    UnsupportedS3ConfigurationError UnsupportedS3ControlArnError
    UnsupportedS3ControlConfigurationError UnsupportedServiceProtocolsError
    UnsupportedSignatureVersionError UnsupportedTLSVersionWarning ValidationError
    WaiterConfigError WaiterError""".split()
)
"""Of services that are not called here, or that this code or the machine's setup is wrong."""


def test_every_error_of_the_aws_client_is_mapped_or_known() -> None:
    found = {
        name: kind
        for name, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, Exception)
        and kind.__module__ == exceptions.__name__
        # Told by its code.
        and not issubclass(kind, exceptions.ClientError)
    }
    # Their constructors want more than what a class goes by.
    unmapped = {
        name
        for name, kind in found.items()
        if redshift_errors.error_for(kind.__new__(kind)) is None
    }
    assert unmapped == UNMAPPED


def test_an_aws_error_that_no_table_knows_is_terminal() -> None:
    exc = exceptions.ClientError({"Error": {"Code": "SomethingNew"}}, "GetCredentials")
    assert redshift_errors.error_for(exc) is None
    assert redshift_errors.error_for(ValueError("x")) is None


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (exceptions.ConnectTimeoutError(endpoint_url="x"), errors.HostUnreachable),
        (exceptions.ReadTimeoutError(endpoint_url="x"), errors.HostUnreachable),
        (exceptions.EndpointConnectionError(endpoint_url="x"), errors.HostUnreachable),
        (exceptions.SSLError(endpoint_url="x", error="e"), errors.TlsFailed),
        (exceptions.NoCredentialsError(), errors.CredentialsRejected),
    ],
)
def test_transport_errors_of_the_aws_client_are_mapped(
    exc: Exception, kind: type[ConnectorError]
) -> None:
    assert type(redshift_errors.error_for(exc)) is kind
