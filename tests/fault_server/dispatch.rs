//! From a request with its body to S3's answer.

use bytes::Bytes;

use super::error_answer::{ErrorAnswer, error_document};
use super::fault::Fault;
use super::operation::Operation;
use super::request::Request;
use super::response::Response;
use super::state::State;
use super::store::{Object, Store};
use super::{authorization, list, multipart, multipart_complete, object, payload};

/// Carries the operation out, unless a fault puts an error in the place of its result.
pub fn answer(state: &State, mut request: Request, body: Bytes, faults: &[Fault]) -> Response {
    for fault in faults {
        if let Fault::ErrorInside200 { code } = fault {
            let message = "We encountered an internal error. Please try again.";
            return Response::xml(200, error_document(code, message, &request));
        }
    }
    let body = as_it_arrives(body, faults);
    let outcome = payload::unwrap_chunks(&mut request, body).and_then(|body| {
        state.with_store(|store| {
            authorization::check(store, &state.script, state.clock_shift(), &request)?;
            operate(store, state, &request, body, faults)
        })
    });
    state.with_store(|store| replace(store, &request, faults));
    outcome.unwrap_or_else(|error| error.into_response(&request))
}

fn as_it_arrives(body: Bytes, faults: &[Fault]) -> Bytes {
    let flipped = faults.iter().find_map(|fault| if let Fault::FlipBitSent { at } = fault { Some(*at) } else { None });
    let Some(at) = flipped.filter(|at| *at < body.len()) else { return body };
    let mut bytes = Vec::from(body);
    bytes[at] ^= 1;
    bytes.into()
}

fn operate(
    store: &mut Store,
    state: &State,
    request: &Request,
    body: Bytes,
    faults: &[Fault],
) -> Result<Response, ErrorAnswer> {
    let script = &state.script;
    match request.operation {
        Operation::HeadBucket => object::head_bucket(store, request),
        Operation::CreateBucket => object::create_bucket(store, request),
        Operation::ListObjectsV2 => list::list_objects(store, script, request, faults),
        Operation::ListMultipartUploads => multipart::list_uploads(store, request),
        Operation::HeadObject | Operation::GetObject => object::get_object(store, request, faults),
        Operation::PutObject => object::put_object(store, script, request, body),
        Operation::DeleteObject => object::delete_object(store, request),
        Operation::CreateMultipartUpload => multipart::create(store, request),
        Operation::UploadPart => multipart::upload_part(store, request, body),
        Operation::CompleteMultipartUpload => multipart_complete::complete(store, script, request, &body),
        Operation::AbortMultipartUpload => multipart::abort(store, request),
        Operation::ListParts => multipart::list_parts(store, script, request),
        Operation::Connect | Operation::Other => {
            Err(ErrorAnswer::new(501, "NotImplemented", "The fault server does not know this operation."))
        }
    }
}

fn replace(store: &mut Store, request: &Request, faults: &[Fault]) {
    for fault in faults {
        if let (Fault::ReplaceObject(bytes), Some(bucket), Some(key)) = (fault, &request.bucket, &request.key) {
            store.put(bucket, key, Object::new(bytes.clone()));
        }
    }
}
