//! SigV4, by AWS's own crate, with the settings that S3 wants.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderValue, Request, header};

use crate::error::{Error, Kind, Result};

/// The hash that says that the body is not part of the signature.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// How far the server's clock is from ours; both planes sign with it.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// The time to sign with.
    pub fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        let seconds = self.0.load(Relaxed);
        let skew = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { now.checked_sub(skew) } else { now.checked_add(skew) }.unwrap_or(now)
    }

    /// Sets the clock by a `Date` header. False when that is no date. Many requests may set it to the same: each was
    /// signed before it was set, and is worth sending again.
    pub fn set_by(&self, date: &str) -> bool {
        let Ok(theirs) = httpdate::parse_http_date(date) else { return false };
        let skew = match theirs.duration_since(SystemTime::now()) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(0),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(0),
        };
        self.0.store(skew, Relaxed);
        true
    }
}

/// Who sends requests without a signature.
#[derive(Debug)]
pub struct Anonymous;

impl Anonymous {
    /// As an identity.
    pub fn identity() -> Identity {
        Identity::new(Self, None)
    }
}

/// Signs a request's head. `payload_hash` is the SHA-256 of the body in hex, or [`UNSIGNED`]. That of [`Anonymous`] stays
/// as it is.
///
/// Only `host`, `content-type`, `content-md5` and `x-amz-*` are signed: others are changed by proxies.
pub fn sign_head(
    request: &mut Request<()>,
    payload_hash: &str,
    identity: &Identity,
    region: &str,
    time: SystemTime,
) -> Result<()> {
    if identity.data::<Anonymous>().is_some() {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("signing failed: {error}"));
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name("s3")
        .time(time)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let uri = request.uri().to_string();
    let mut headers = Vec::with_capacity(8);
    for (name, value) in request.headers() {
        let signed = *name == header::HOST
            || *name == header::CONTENT_TYPE
            || name.as_str() == "content-md5"
            || name.as_str().starts_with("x-amz-");
        if signed {
            headers.push((name.as_str(), value.to_str().map_err(|error| failed(&error))?));
        }
    }
    let body = match payload_hash {
        UNSIGNED => SignableBody::UnsignedPayload,
        hash => SignableBody::Precomputed(hash.to_owned()),
    };
    let signable = SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), body)
        .map_err(|error| failed(&error))?;
    let (instructions, _signature) = sign(signable, &params).map_err(|error| failed(&error))?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// The value of a header that is signed, which takes ASCII alone.
pub fn signed_value(text: &str) -> Result<HeaderValue> {
    if text.is_ascii() { header_value(text) } else { Err(no_value(text)) }
}

/// A header's value, when its text can be one.
pub fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| no_value(text))
}

fn no_value(text: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{text:?} can't be the value of a header"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;

    /// The example of the S3 documentation, "Signature Calculations: Example: PUT Object", but with the host in the path.
    #[test]
    fn a_signature_is_that_of_the_documentation() {
        let identity: Identity =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "test")
                .into();
        let mut request = Request::get("https://examplebucket.s3.amazonaws.com/?lifecycle").body(()).unwrap();
        request.headers_mut().insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
        request.headers_mut().insert("user-agent", HeaderValue::from_static("not signed"));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        sign_head(&mut request, empty, &identity, "us-east-1", time).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with(
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
                 Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
            "{authorization}"
        );
    }

    #[test]
    fn an_anonymous_request_has_no_signature() {
        let mut request = Request::get("https://bucket.s3.amazonaws.com/k").body(()).unwrap();
        sign_head(&mut request, UNSIGNED, &Anonymous::identity(), "us-east-1", SystemTime::now()).unwrap();
        assert!(request.headers().is_empty());
    }

    #[test]
    fn the_clock_follows_the_servers_date() {
        let clock = Clock::default();
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        assert!(clock.set_by(&httpdate::fmt_http_date(ahead)));
        let difference = clock.now().duration_since(SystemTime::now()).unwrap();
        assert!((3590..3610).contains(&difference.as_secs()), "{difference:?}");
        assert!(!clock.set_by("no date"));
    }
}
