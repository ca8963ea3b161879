//! Who asks, and when. Signatures are looked for, not computed.

use super::clock;
use super::error_answer::ErrorAnswer;
use super::request::Request;
use super::script::Script;
use super::store::Store;

/// S3 refuses requests whose time is further off than this (AWS "Signing and authenticating REST requests").
const LARGEST_SKEW_SECONDS: u64 = 15 * 60;

pub fn check(store: &Store, script: &Script, clock_shift: i64, request: &Request) -> Result<(), ErrorAnswer> {
    let authorization = request.header("authorization").unwrap_or_default();
    let access_key = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .and_then(|fields| fields.split("Credential=").nth(1))
        .and_then(|credential| credential.split('/').next())
        .or_else(|| request.query("X-Amz-Credential").and_then(|credential| credential.split('/').next()));
    let token = request.header("x-amz-security-token").or_else(|| request.query("X-Amz-Security-Token"));
    if [access_key, token].into_iter().flatten().any(|credential| store.expired_credentials.contains(credential)) {
        return Err(ErrorAnswer::new(400, "ExpiredToken", "The provided token has expired."));
    }
    let time = request.header("x-amz-date").and_then(|date| clock::distance(date, clock::shifted(clock_shift)));
    if time.is_some_and(|seconds| seconds > LARGEST_SKEW_SECONDS) {
        let message = "The difference between the request time and the current time is too large.";
        return Err(ErrorAnswer::new(403, "RequestTimeTooSkewed", message));
    }
    let Some(wanted) = script.access_key.as_deref() else { return Ok(()) };
    let presigned = request.query("X-Amz-Signature").is_some();
    let signed = authorization.contains("SignedHeaders=host") || authorization.contains(";host");
    if !(presigned || (signed && authorization.contains("Signature="))) {
        return Err(ErrorAnswer::new(403, "AccessDenied", "Access Denied"));
    }
    if !presigned && request.header("x-amz-content-sha256").is_none() {
        return Err(ErrorAnswer::new(
            400,
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
        ));
    }
    if access_key != Some(wanted) {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        return Err(ErrorAnswer::new(403, "InvalidAccessKeyId", message));
    }
    Ok(())
}
