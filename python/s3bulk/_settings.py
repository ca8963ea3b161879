"""What a boto3 client was set up with, as far as a native client that stands in for it must know.

Most of it is private to botocore. What can't be read, or means something unknown, is a `Refusal`: then the client
itself does the work, and is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3bulk.options import MAXIMUM_TIMEOUT, TransferOptions

# botocore's attempts where nobody sets them, the first one included.
_ATTEMPTS = {"legacy": 5, "standard": 3, "adaptive": 3}


class Refusal(Exception):
    """Why a client can't be stood in for."""


@dataclass(frozen=True)
class Settings:
    """Settings of a boto3 client.

    Attributes:
        anonymous: Requests are not signed.
        verify: Certificates are checked.
        ca_bundle: PEM file with the certificates that are trusted.
        proxies: Proxies by scheme.
        request_checksums: Uploads carry a checksum that S3 does not ask for.
        response_checksums: Checksums are asked for in downloads.
        user_agent_extra: What stands at the end of `User-Agent`.
        limits: Attempts, timeouts and payload signing.
    """

    anonymous: bool
    verify: bool
    ca_bundle: str | None
    proxies: dict[str, str]
    request_checksums: bool
    response_checksums: bool
    user_agent_extra: str | None
    limits: TransferOptions

    def under(self, options: TransferOptions) -> TransferOptions:
        """Other limits, and the client's own where those say nothing: where they are the default."""
        default = TransferOptions()
        own = {
            name: getattr(self.limits, name)
            for name in ("max_attempts", "connect_timeout", "read_timeout", "payload_signing")
            if getattr(options, name) == getattr(default, name)
        }
        return TransferOptions(**{**vars(options), **own})


def read_settings(client: Any) -> Settings:
    """Reads the settings of a boto3 client.

    Raises:
        Refusal: One of them has no counterpart here.
    """
    config = client.meta.config
    session = client._endpoint.http_session
    if config.client_cert or session._cert_file or session._key_file:
        raise Refusal("it shows a client certificate")
    if getattr(config, "auth_scheme_preference", None):
        raise Refusal("it prefers a signature of its own")
    requests = getattr(config, "request_checksum_calculation", None)
    responses = getattr(config, "response_checksum_validation", None)
    verify, ca_bundle = _verify(session, client.meta.endpoint_url)
    return Settings(
        anonymous=_is_anonymous(config.signature_version),
        verify=verify,
        ca_bundle=ca_bundle,
        proxies=_proxies(config, session),
        # Older versions of botocore don't know the setting and protect uploads with an MD5.
        request_checksums=_one_of(requests, "when_required", "when_supported") != "when_required",
        response_checksums=_one_of(responses, "when_required", "when_supported") != "when_required",
        user_agent_extra=config.user_agent_extra or None,
        limits=TransferOptions(
            max_attempts=_attempts(config.retries or {}),
            connect_timeout=_seconds(config.connect_timeout),
            read_timeout=_seconds(config.read_timeout),
            payload_signing=_payload_signing(config.s3 or {}, requests),
        ),
    )


def _one_of(value: Any, *known: str) -> str | None:
    if value is not None and value not in known:
        raise Refusal(f"it has a setting of {value!r}")
    return None if value is None else str(value)


def _is_anonymous(signature_version: Any) -> bool:
    from botocore import UNSIGNED

    if signature_version is UNSIGNED:
        return True
    if signature_version != "s3v4":
        raise Refusal(f"it signs with {signature_version}")
    return False


def _verify(session: Any, endpoint_url: str) -> tuple[bool, str | None]:
    verify = session._verify
    if not endpoint_url.lower().startswith("https:") or verify is False:
        return verify is not False, None
    if verify is True:
        from botocore.httpsession import get_cert_path

        return True, str(get_cert_path(True))
    # An empty name switches verification off in some versions only.
    if not isinstance(verify, str) or not verify:
        raise Refusal(f"it verifies certificates by {verify!r}")
    return True, verify


def _proxies(config: Any, session: Any) -> dict[str, str]:
    if config.proxies_config:
        raise Refusal("it has settings for its proxies")
    # Others, `all` or `no`, mean nothing to botocore.
    proxies = session._proxy_config._proxies or {}
    return {scheme: str(proxies[scheme]) for scheme in ("http", "https") if proxies.get(scheme)}


def _attempts(retries: dict[str, Any]) -> int:
    mode = retries.get("mode", "legacy")
    if mode not in _ATTEMPTS:
        raise Refusal(f"it retries by {mode!r}")
    return int(retries.get("total_max_attempts", _ATTEMPTS[mode]))


def _seconds(timeout: Any) -> float:
    return MAXIMUM_TIMEOUT if timeout is None else float(timeout)


def _payload_signing(s3: dict[str, Any], request_checksums: Any) -> Any:
    # botocore.auth.S3SigV4Auth: what is set decides; else a body is signed unless TLS and a checksum protect it.
    enabled = s3.get("payload_signing_enabled")
    if enabled is not None:
        return "always" if enabled else "never"
    return "always" if request_checksums == "when_required" else "auto"
