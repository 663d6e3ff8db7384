import pytest

from control.api.accept import table_version
from control.api.status import ApiError

V1 = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        ("application/*;q=0.5", ""),
        (V1, "meta.k8s.io/v1"),
        (f"{V1}, application/json", "meta.k8s.io/v1"),
        (f"application/json, {V1}", ""),
        (f"{V1.replace('v1', 'v1beta1')},application/json", "meta.k8s.io/v1beta1"),
        ("application/vnd.kubernetes.protobuf,application/json", ""),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,*/*", ""),
    ],
)
def test_the_first_form_that_is_known_is_given(accept, version):
    assert table_version(accept) == version


@pytest.mark.parametrize("accept", ["text/html", "application/json;as=Table;v=v9;g=meta.k8s.io", "application/yaml"])
def test_a_client_that_reads_nothing_of_ours_is_told(accept):
    with pytest.raises(ApiError) as caught:
        table_version(accept)
    assert caught.value.code == 406
