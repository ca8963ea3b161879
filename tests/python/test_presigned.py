"""A URL that somebody else may use without keys: signed by the boto3 half, for where the native half goes."""

from __future__ import annotations

from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest


def test_a_presigned_url_fetches_and_stores(own: Any, judge: Any, bucket: str) -> None:
    judge.put_object(Bucket=bucket, Key="a b/k", Body=b"body")
    parameters = {"Bucket": bucket, "Key": "a b/k"}
    with urlopen(own.generate_presigned_url("get_object", Params=parameters)) as answer:
        assert answer.read() == b"body"
    url = own.generate_presigned_url("put_object", Params=parameters)
    with urlopen(Request(url, b"new", {"Content-Type": "text/plain"}, method="PUT")) as answer:
        assert answer.status == 200
    assert judge.get_object(Bucket=bucket, Key="a b/k")["Body"].read() == b"new"


@pytest.mark.needs("look at signatures")
def test_a_presigned_url_that_was_changed_is_refused(own: Any, judge: Any, bucket: str) -> None:
    judge.put_object(Bucket=bucket, Key="k", Body=b"body")
    judge.put_object(Bucket=bucket, Key="other", Body=b"secret")
    url = own.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    with pytest.raises(HTTPError) as caught:
        urlopen(url.replace("/k?", "/other?"))
    assert caught.value.code == 403
    caught.value.close()
