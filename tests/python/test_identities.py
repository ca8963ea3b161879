"""CONTRACT.md, "Credentials": both halves of a client are the identity that boto3 finds, wherever that comes from.

Each row is a machine of its own: variables, files below the home folder, and the services that hand out temporary keys.
A fresh process makes a request natively, one through the boto3 half and one with a boto3 client; the server says who
signed them.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.identities import Authority, Front, authority, front
from tests.identities.authority import ROLE

_PROGRAM = """
import sys
import boto3
from s3bulk import S3ClientConfig, make_s3_client, upload_file

endpoint, file, first, then = sys.argv[1:]
exec(first)
client = make_s3_client(S3ClientConfig(endpoint, "us-east-1"))
exec(then)
found = []
for bucket, put in (
    ("native", lambda bucket: upload_file(client, file, bucket, "k")),
    ("half", lambda bucket: client.put_object(Bucket=bucket, Key="k", Body=b"")),
    ("boto3", lambda bucket: boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").put_object(
        Bucket=bucket, Key="k", Body=b""
    )),
):
    try:
        put(bucket)
        found.append("signed")
    except Exception as error:
        found.append(type(error).__name__)
print(*found)
"""


@pytest.fixture(scope="module")
def services() -> Iterator[Authority]:
    with authority(lifetime=3600) as running:
        yield running


@pytest.fixture
def s3(services: Authority) -> Iterator[Front]:
    with front(services.ring) as running:
        yield running


def _section(name: str, **settings: str) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def _keys(name: str) -> dict[str, str]:
    return {"aws_access_key_id": f"{name}-key", "aws_secret_access_key": f"{name}-secret"}


_ENV_KEYS = {"AWS_ACCESS_KEY_ID": "env-key", "AWS_SECRET_ACCESS_KEY": "env-secret"}
_WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/web-token", "AWS_ROLE_ARN": ROLE}
_CONTAINER = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "SERVICES/container",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "HOME/container-token",
}
_METADATA = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "SERVICES"}
_SSO = {"sso_account_id": "123456789012", "sso_role_name": "tests"}
_PORTAL = {"sso_start_url": "https://sso.test/start", "sso_region": "us-east-1"}
_BOTO = _section("Credentials", **_keys("boto2"))
_DEFAULT = _section("default", **_keys("default"))
_PROCESS = {"credential_process": "cat HOME/process.json"}


_REFRESHING = """
import botocore.credentials, botocore.session

def keys():
    return dict(access_key="refreshed-key", secret_key="s", token="t", expiry_time="2999-01-01T00:00:00Z")

inner = botocore.session.get_session()
inner._credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(keys(), keys, "sts-assume-role")
boto3.setup_default_session(botocore_session=inner)
"""
_OWN_PROVIDER = """
import botocore.credentials, botocore.session

class Provider(botocore.credentials.CredentialProvider):
    METHOD = CANONICAL_NAME = "vault"

    def load(self):
        return botocore.credentials.Credentials("own-key", "s", "t", method=self.METHOD)

inner = botocore.session.get_session()
inner.get_component("credential_provider").insert_before("env", Provider())
boto3.setup_default_session(botocore_session=inner)
"""


@dataclass(frozen=True)
class Machine:
    """`HOME` and `SERVICES` stand for the home folder and for where the services are."""

    who: str  # the first part of the access key: who handed it out
    token: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    config: str = ""
    credentials: str = ""
    files: dict[str, str] = field(default_factory=dict)
    first: str = ""  # what the application does before


_MACHINES: dict[str, Machine] = {
    "environment": Machine("env", env=_ENV_KEYS, credentials=_DEFAULT),
    "environment with a token": Machine("env", "t", {**_ENV_KEYS, "AWS_SESSION_TOKEN": "t"}),
    "environment with the old name of the token": Machine(
        "env", "old", {**_ENV_KEYS, "AWS_SESSION_TOKEN": "t", "AWS_SECURITY_TOKEN": "old"}
    ),
    "environment beside a profile": Machine(
        "env", env={**_ENV_KEYS, "AWS_PROFILE": "named"}, config=_section("profile named", **_keys("named"))
    ),
    "environment beside everything else": Machine(
        "env", env={**_ENV_KEYS, **_WEB, **_CONTAINER, **_METADATA}, credentials=_DEFAULT, files={".boto": _BOTO}
    ),
    "a secret alone in the environment": Machine(
        "default", env={"AWS_SECRET_ACCESS_KEY": "env-secret"}, credentials=_DEFAULT
    ),
    "default profile": Machine("default", credentials=_DEFAULT),
    "default profile of the config file": Machine("default", config=_DEFAULT),
    "default profile in both files": Machine(
        "first", config=_DEFAULT, credentials=_section("default", **_keys("first"))
    ),
    "default profile with a token": Machine(
        "default", "t", credentials=_section("default", **_keys("default"), aws_session_token="t")
    ),
    "default profile with the old name of the token": Machine(
        "default", "t", credentials=_section("default", **_keys("default"), aws_security_token="t")
    ),
    "named profile": Machine(
        "named", env={"AWS_PROFILE": "named"}, config=_section("profile named", **_keys("named")), credentials=_DEFAULT
    ),
    "AWS_DEFAULT_PROFILE before AWS_PROFILE": Machine(
        "named",
        env={"AWS_DEFAULT_PROFILE": "named", "AWS_PROFILE": "other"},
        credentials=_section("named", **_keys("named")) + _section("other", **_keys("other")),
    ),
    "files elsewhere": Machine(
        "moved",
        env={"AWS_CONFIG_FILE": "HOME/conf", "AWS_SHARED_CREDENTIALS_FILE": "~/cred", "AWS_PROFILE": "p"},
        credentials=_section("p", **_keys("wrong")),
        files={"conf": _section("profile p", region="eu-west-1"), "cred": _section("p", **_keys("moved"))},
    ),
    "web identity": Machine("web", env=_WEB),
    "web identity before the keys of a profile": Machine("web", env=_WEB, credentials=_DEFAULT),
    "web identity before the keys of a named profile": Machine(
        "web", env={**_WEB, "AWS_PROFILE": "named"}, credentials=_section("named", **_keys("named"))
    ),
    "web identity of a profile": Machine(
        "web",
        env={"AWS_PROFILE": "named"},
        config=_section("profile named", web_identity_token_file="HOME/web-token", role_arn=ROLE),
    ),
    "web identity, half in the environment": Machine(
        "web",
        env={"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/web-token", "AWS_ROLE_SESSION_NAME": "mine"},
        config=_section("default", role_arn=ROLE, web_identity_token_file="HOME/nowhere"),
    ),
    "container": Machine("container", env=_CONTAINER),
    "container after a profile without keys": Machine(
        "container", env={**_CONTAINER, "AWS_PROFILE": "named"}, config=_section("profile named", region="eu-west-1")
    ),
    "a profile before the container": Machine("default", env=_CONTAINER, credentials=_DEFAULT),
    "instance metadata": Machine("metadata", env=_METADATA),
    "container before instance metadata": Machine("container", env={**_CONTAINER, **_METADATA}),
    "credential process": Machine("process", env={"AWS_PROFILE": "p"}, config=_section("profile p", **_PROCESS)),
    "credential process before keys of the same file": Machine(
        "process", config=_section("default", **_PROCESS, **_keys("default"))
    ),
    "keys of the credentials file before a process": Machine(
        "default", config=_section("default", **_PROCESS), credentials=_DEFAULT
    ),
    "~/.boto": Machine("boto2", files={".boto": _BOTO}),
    "~/.boto before a container": Machine("boto2", env=_CONTAINER, files={".boto": _BOTO}),
    "a profile before ~/.boto": Machine("default", credentials=_DEFAULT, files={".boto": _BOTO}),
    "BOTO_CONFIG": Machine("boto2", env={"BOTO_CONFIG": "HOME/my.cfg"}, files={"my.cfg": _BOTO}),
    "the file of the first EC2 tools": Machine(
        "ec2",
        env={"AWS_CREDENTIAL_FILE": "HOME/ec2"},
        files={"ec2": "AWSAccessKeyId=ec2-key\nAWSSecretKey=ec2-secret\n", ".boto": _BOTO},
    ),
    "SSO": Machine("sso", config=_section("default", **_SSO, **_PORTAL)),
    "SSO with a session": Machine(
        "sso",
        env={"AWS_PROFILE": "p"},
        config=_section("profile p", **_SSO, sso_session="s") + _section("sso-session s", **_PORTAL),
    ),
    "SSO before keys": Machine("sso", config=_section("default", **_SSO, **_PORTAL), credentials=_DEFAULT),
    "role of a source profile": Machine(
        "role",
        env={"AWS_PROFILE": "p"},
        config=_section("profile p", role_arn=ROLE, source_profile="source"),
        credentials=_section("source", **_keys("source")),
    ),
    "role of its own keys": Machine(
        "role", credentials=_section("default", **_keys("default"), role_arn=ROLE, source_profile="default")
    ),
    "role of the container": Machine(
        "role", env=_CONTAINER, config=_section("default", role_arn=ROLE, credential_source="EcsContainer")
    ),
    "role of instance metadata": Machine(
        "role", env=_METADATA, config=_section("default", role_arn=ROLE, credential_source="Ec2InstanceMetadata")
    ),
    "role of a profile before a web identity": Machine(
        "role", env={**_WEB, **_CONTAINER}, config=_section("default", role_arn=ROLE, credential_source="EcsContainer")
    ),
    "default session of a profile": Machine(
        "named",
        env={**_ENV_KEYS, **_WEB},
        credentials=_section("named", **_keys("named")),
        first='boto3.setup_default_session(profile_name="named")',
    ),
    "default session of a profile with SSO": Machine(
        "sso",
        env={**_ENV_KEYS, **_WEB, **_CONTAINER},
        config=_section("profile p", **_SSO, **_PORTAL),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of a profile with a process": Machine(
        "process",
        env=_ENV_KEYS,
        config=_section("profile p", **_PROCESS),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of a profile with a role": Machine(
        "role",
        env={**_ENV_KEYS, **_WEB},
        config=_section("profile p", role_arn=ROLE, source_profile="source"),
        credentials=_section("source", **_keys("source")),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of a profile without keys": Machine(
        "container",
        env={**_ENV_KEYS, **_WEB, **_CONTAINER},
        config=_section("profile p", region="eu-west-1"),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of a profile without keys on an instance": Machine(
        "metadata",
        env={**_ENV_KEYS, **_WEB, **_METADATA},
        config=_section("profile p", region="eu-west-1"),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of a profile without anything": Machine(
        "nobody",
        env={**_ENV_KEYS, **_WEB},
        config=_section("profile p", region="eu-west-1"),
        first='boto3.setup_default_session(profile_name="p")',
    ),
    "default session of refreshing credentials": Machine("refreshed", "t", _ENV_KEYS, first=_REFRESHING),
    "default session of a provider of its own": Machine("own", "t", _ENV_KEYS, first=_OWN_PROVIDER),
    "default session of keys": Machine(
        "session",
        "t",
        _ENV_KEYS,
        first='boto3.setup_default_session(aws_access_key_id="session-key", aws_secret_access_key="s", '
        'aws_session_token="t")',
    ),
    "default session that was told nothing": Machine("default", credentials=_DEFAULT, first='boto3.client("s3")'),
    "nobody": Machine("nobody"),
    "instance metadata switched off": Machine("nobody", env={**_METADATA, "AWS_EC2_METADATA_DISABLED": "true"}),
}


def _set_up(machine: Machine, home: Path, services: Authority) -> dict[str, str]:
    def placed(text: str) -> str:
        return text.replace("HOME", str(home)).replace("SERVICES", services.url)

    process = {"Version": 1, "AccessKeyId": "process-key", "SecretAccessKey": "process-secret"}
    files = {
        "file": "body",
        "web-token": services.web_token,
        "container-token": services.container_token,
        "process.json": json.dumps(process),
        ".aws/config": machine.config,
        ".aws/credentials": machine.credentials,
        **machine.files,
    }
    # Both name the file of a token by what it belongs to: the URL, or the session.
    signed_in = {"accessToken": services.sso_token, "expiresAt": "2999-01-01T00:00:00Z"}
    for name in (_PORTAL["sso_start_url"], "s"):
        token = json.dumps({**signed_in, "startUrl": _PORTAL["sso_start_url"], "region": _PORTAL["sso_region"]})
        files[f".aws/sso/cache/{hashlib.sha1(name.encode()).hexdigest()}.json"] = token
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(placed(text))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_STS": services.url,
        "AWS_ENDPOINT_URL_SSO": services.url,
        **{name: placed(value) for name, value in machine.env.items()},
    }


@pytest.mark.parametrize("name", _MACHINES)
def test_both_halves_are_who_boto3_is(name: str, services: Authority, s3: Front, tmp_path: Path) -> None:
    machine = _MACHINES[name]
    said = _run(machine, services, s3, tmp_path)
    if machine.who == "nobody":
        assert (said, s3.requests) == (["NoCredentialsError"] * 3, [])
        return
    assert said == ["signed"] * 3
    _check(("boto3", "half", "native"), machine, services, s3)


# Where keys should come from and don't; boto3 has a class for each.
_BROKEN: dict[str, Machine] = {
    "a secret alone in a file": Machine("", credentials=_section("default", aws_secret_access_key="s")),
    "a role of a profile that is not there": Machine(
        "", config=_section("default", role_arn=ROLE, source_profile="gone")
    ),
    "a role without a source": Machine("", config=_section("default", role_arn=ROLE)),
    "nobody has signed in": Machine(
        "", config=_section("default", **_SSO, sso_start_url="https://other.test", sso_region="us-east-1")
    ),
    "a process that is not there": Machine("", config=_section("default", credential_process="HOME/gone")),
    "a token file that is not there": Machine("", env={**_WEB, "AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/gone"}),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_why_there_are_no_keys_is_said_in_boto3s_class(
    name: str, services: Authority, s3: Front, tmp_path: Path
) -> None:
    native, half, boto3 = _run(_BROKEN[name], services, s3, tmp_path)
    assert native == half == boto3 != "signed"
    assert s3.requests == []


# What an application does when the client has been made: both halves stay who they were.
_LATER = {
    "keys in the environment": "os.environ.update(AWS_ACCESS_KEY_ID='later-key', AWS_SECRET_ACCESS_KEY='s')",
    "another session": "boto3.setup_default_session(aws_access_key_id='later-key', aws_secret_access_key='s')",
    "session of a region": "boto3.setup_default_session(region_name='eu-west-3')",
}


@pytest.mark.parametrize("later", _LATER)
@pytest.mark.parametrize("name", ["container", "default session of a profile with SSO", "web identity"])
def test_what_comes_after_a_client_was_made_changes_neither_half(
    name: str, later: str, services: Authority, s3: Front, tmp_path: Path
) -> None:
    machine = _MACHINES[name]
    assert _run(machine, services, s3, tmp_path, f"import os; {_LATER[later]}")[:2] == ["signed"] * 2
    _check(("half", "native"), machine, services, s3)


def _run(machine: Machine, services: Authority, s3: Front, home: Path, then: str = "") -> list[str]:
    environment = _set_up(machine, home, services)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, s3.url, str(home / "file"), machine.first, then],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=50,
    )
    return done.stdout.split()


def _check(whose: tuple[str, ...], machine: Machine, services: Authority, s3: Front) -> None:
    for who in whose:
        (request,) = s3.of_bucket(who)
        assert request.access_key is not None
        handed_out_by, _, _ = request.access_key.rpartition("-")
        assert (who, handed_out_by) == (who, machine.who)
        known = services.ring.handed_out.get(request.access_key)
        assert request.session_token == (known.session_token if known else machine.token)
    assert not s3.refused
