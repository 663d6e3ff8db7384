"""What the OpenAPI document says is true: each operation is tried with what it allows and what it does not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from control.api.operations import OPERATIONS
from control.model.kinds import HTTP_ROUTE
from tests.fakes.api import TOKEN, Connected, Row, serve_in_thread

CHECKED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.ignored_auth,
]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# The older versions are served by the same code.
TRIED = [operation for operation in OPERATIONS if operation.resource is None or operation.resource.version == "v1"]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    with serve_in_thread(tmp_path_factory.mktemp("store"), Connected(Row("shop", "front-1"))) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json", headers=HEADERS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "forbidden"])
@pytest.mark.parametrize("operation", TRIED, ids=lambda operation: f"{operation.method} {operation.path}")
def test_each_operation_does_what_the_document_says(document, operation, mode):
    # A route takes seconds to be made up, so large is its schema.
    is_large = (
        operation.resource is not None
        and operation.resource.kind is HTTP_ROUTE
        and operation.method in {"POST", "PUT", "PATCH"}
    )
    if mode is GenerationMode.NEGATIVE and (is_large or not (operation.takes or operation.query)):
        pytest.skip("nothing that is sent can be wrong, or it takes too long to be made up")
    few = settings(
        max_examples=1 if is_large else 3,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @few
    @given(document[operation.path][operation.method].as_strategy(generation_mode=mode))
    def check(case):
        case.query.pop("watch", None)  # it lasts, and has tests of its own
        case.call_and_validate(headers=HEADERS, checks=CHECKED, timeout=10)

    check()
