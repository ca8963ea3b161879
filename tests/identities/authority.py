"""Fakes of the services that hand out temporary keys: instance metadata, container endpoint, STS, and SSO's portal.

One server plays all of them: their paths do not meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tests.identities.keys import KeyRing, Keys
from tests.identities.loopback import Handler, serve

ROLE = "arn:aws:iam::123456789012:role/tests"
_METADATA = "/latest/meta-data/iam/security-credentials"
_METADATA_TOKEN = "metadata-token"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True)
class Authority:
    """The running fakes.

    Attributes:
        url: Where they are.
        ring: What they have handed out.
        container_token: What the container endpoint wants as `Authorization`.
        web_token: The token that STS takes from a web identity.
        sso_token: The bearer token that SSO's portal takes.
    """

    url: str
    ring: KeyRing
    container_token: str = "container-token"
    web_token: str = "web-token"
    sso_token: str = "sso-token"

    @property
    def container_url(self) -> str:
        """For `AWS_CONTAINER_CREDENTIALS_FULL_URI`."""
        return f"{self.url}/container"


@contextmanager
def authority(lifetime: int) -> Iterator[Authority]:
    """Runs the fakes; keys hold for `lifetime` seconds."""
    ring = KeyRing(lifetime)

    class Services(Handler):
        def do_PUT(self) -> None:
            self.body()
            if self.path == "/latest/api/token":
                lifetime_of_token = self.headers["x-aws-ec2-metadata-token-ttl-seconds"]
                self.answer(200, _METADATA_TOKEN.encode(), x_aws_ec2_metadata_token_ttl_seconds=lifetime_of_token)
            else:
                self.answer(404)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith(_METADATA):
                self._metadata(path)
            elif path == "/container":
                if self.headers.get("Authorization") != known.container_token:
                    self.answer(401, b"the token is missing")
                else:
                    self._keys(ring.new("container"))
            elif path == "/federation/credentials":
                if self.headers.get("x-amz-sso_bearer_token") != known.sso_token:
                    self.answer(401, b"the token is missing")
                else:
                    self._sso(ring.new("sso"))
            else:
                self.answer(404)

        def do_POST(self) -> None:
            form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
            action = form.get("Action")
            if action == "AssumeRoleWithWebIdentity":
                if form["WebIdentityToken"] != known.web_token or form["RoleArn"] != ROLE:
                    self.answer(400, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>")
                else:
                    self._role(action, ring.new("web"))
            elif action == "AssumeRole":
                self._role(action, ring.new("role"))
            else:
                self.answer(404)

        def _metadata(self, path: str) -> None:
            if self.headers.get("x-aws-ec2-metadata-token") != _METADATA_TOKEN:
                self.answer(401)
            elif path.rstrip("/") == _METADATA:
                self.answer(200, b"tests", Content_Type="text/plain")
            elif path == f"{_METADATA}/tests":
                self._keys(ring.new("metadata"))
            else:
                self.answer(404)

        def _keys(self, keys: Keys) -> None:
            document = {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": "2020-01-01T00:00:00Z",
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret_key,
                "Token": keys.session_token,
                "Expiration": keys.expiration,
            }
            self.answer(200, json.dumps(document).encode(), Content_Type="application/json")

        def _sso(self, keys: Keys) -> None:
            document = {
                "accessKeyId": keys.access_key,
                "secretAccessKey": keys.secret_key,
                "sessionToken": keys.session_token,
                "expiration": keys.expiry * 1000,
            }
            self.answer(200, json.dumps({"roleCredentials": document}).encode(), Content_Type="application/json")

        def _role(self, action: str, keys: Keys) -> None:
            document = (
                f'<{action}Response xmlns="{_STS}"><{action}Result><Credentials>'
                f"<AccessKeyId>{keys.access_key}</AccessKeyId><SecretAccessKey>{keys.secret_key}</SecretAccessKey>"
                f"<SessionToken>{keys.session_token}</SessionToken><Expiration>{keys.expiration}</Expiration>"
                f"</Credentials><AssumedRoleUser><AssumedRoleId>id:tests</AssumedRoleId><Arn>{ROLE}</Arn>"
                f"</AssumedRoleUser></{action}Result></{action}Response>"
            )
            self.answer(200, document.encode(), Content_Type="text/xml")

    with serve(Services) as url:
        known = Authority(url, ring)
        yield known
