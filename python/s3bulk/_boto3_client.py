"""What is a boto3 client. botocore is not imported to find out: without it there is none."""

from __future__ import annotations

import sys
from typing import Any


def is_boto3_client(client: Any) -> bool:
    """Whether this is a client of botocore's, not something that says it is one, as a `MagicMock` with a spec does.

    Raises:
        TypeError: It is an asynchronous client, or a resource.
    """
    base = getattr(sys.modules.get("botocore.client"), "BaseClient", None)
    family = type(client).__mro__
    if base is not None and base in family:
        import inspect

        if inspect.iscoroutinefunction(type(client)._make_api_call):
            raise TypeError("s3_client must be a synchronous client; this one's methods are coroutines")
        return True
    resource = getattr(sys.modules.get("boto3.resources.base"), "ServiceResource", None)
    if resource is not None and resource in family:
        raise TypeError("s3_client must be a client, not a resource; its client is resource.meta.client")
    return False
