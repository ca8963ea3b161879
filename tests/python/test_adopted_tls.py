"""`verify` of a boto3 client: its CA file, botocore's own certificates, or none at all."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import SSLError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from s3bulk import download_file_to_path, upload_file
from s3bulk._settings import read_settings

from tests.python.conftest import boto3_client
from tests.servers import Server
from tests.servers.recording import RecordingServer, recording_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A CA of our own: its certificate, and certificate and key of a server at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("authority")
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(subject: str, key: Any, issuer: str, signer: Any, *extensions: Any) -> x509.Certificate:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("ca", ca_key, "ca", ca_key, x509.BasicConstraints(ca=True, path_length=None))
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = certificate("server", key, "ca", ca_key, x509.BasicConstraints(ca=False, path_length=None), place)
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(own.public_bytes(pem) + key.private_bytes(pem, *plain))
    return folder / "ca.pem", folder / "server.pem"


@pytest.fixture
def secure(authority: tuple[Path, Path]) -> Iterator[RecordingServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[1])
    with recording_server(context) as server:
        yield server


def _client(secure: RecordingServer, verify: Any) -> Any:
    server = Server("recording", secure.endpoint_url, "key", "secret")
    return boto3_client(server, verify=verify, config=Config(retries={"total_max_attempts": 1}))


def test_the_ca_file_of_the_client_is_trusted(
    secure: RecordingServer, authority: tuple[Path, Path], folder: Path, tmp_path: Path
) -> None:
    client = _client(secure, str(authority[0]))
    upload_file(client, folder / "f", "b", "k")
    download_file_to_path(client, "b", "k", tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"body"
    assert len(secure.requests) == 3
    assert not any(request.is_from_botocore for request in secure.requests)
    # botocore leaves the body out of the signature where TLS protects it.
    assert secure.requests[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_botocores_certificates_are_trusted_and_no_others(secure: RecordingServer, folder: Path) -> None:
    client = _client(secure, True)
    bundle = read_settings(client).ca_bundle
    assert bundle is not None
    assert Path(bundle).is_file()
    with pytest.raises(SSLError, match="SSL validation failed"):
        upload_file(client, folder / "f", "b", "k")
    assert secure.requests == []


def test_without_verification_every_certificate_will_do_and_that_is_said_once(
    secure: RecordingServer, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "s3bulk")
    client = _client(secure, False)
    for _ in range(2):
        upload_file(client, folder / "f", "b", "k")
    assert len(secure.requests) == 2
    assert not any(request.is_from_botocore for request in secure.requests)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("s3bulk", "WARNING")
    assert "verify=False" in record.getMessage()


def test_a_ca_file_that_is_none_is_an_error_of_the_clients(
    secure: RecordingServer, folder: Path, tmp_path: Path
) -> None:
    client = _client(secure, str(tmp_path / "no-such-file"))
    with pytest.raises(SSLError, match="No such file"):
        upload_file(client, folder / "f", "b", "k")
    assert secure.requests == []
