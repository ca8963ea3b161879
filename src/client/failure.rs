//! The SDK's errors in the engine's words.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::{Error, Kind};
use crate::wire::parse_error;

/// What a failed SDK call means. An error of our own transport or credentials comes through as it is.
pub fn from_sdk<E: StdError + Send + Sync + 'static>(error: SdkError<E, HttpResponse>) -> Error {
    if let Some(ours) = find_ours(&error) {
        return ours;
    }
    if let Some(raw) = error.raw_response() {
        let status = StatusCode::from_u16(raw.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::new();
        for (name, value) in raw.headers() {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        let service = parse_error(status, &headers, raw.body().bytes().unwrap_or_default());
        // A good status whose body could not be understood, and which is no error document either.
        if status.is_success() && service.code == status.as_u16().to_string() {
            let text = format!("the answer can't be understood: {}", deepest(&error));
            return Error::new(Kind::BadResponse, text);
        }
        return Error::service(service);
    }
    match &error {
        SdkError::TimeoutError(_) => Error::new(Kind::ReadTimeout, deepest(&error)),
        SdkError::DispatchFailure(failure) if failure.is_io() => Error::new(Kind::ConnectionClosed, deepest(&error)),
        SdkError::ResponseError(_) => Error::new(Kind::BadResponse, deepest(&error)),
        _ => Error::new(Kind::Internal, deepest(&error)),
    }
}

fn find_ours(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut below = Some(error);
    while let Some(current) = below {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return Some(ours.clone());
        }
        below = current.source();
    }
    None
}

fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut current = error;
    while let Some(below) = current.source() {
        current = below;
    }
    current.to_string()
}
