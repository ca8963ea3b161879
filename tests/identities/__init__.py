"""Where identities come from and who looks at them, on this machine: fakes of AWS's services, and an S3 that checks."""

from tests.identities.authority import Authority, authority
from tests.identities.front import Front, Request, front
from tests.identities.keys import KeyRing, Keys

__all__ = ["Authority", "Front", "KeyRing", "Keys", "Request", "authority", "front"]
