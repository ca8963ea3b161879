//! S3's error documents.

use http::{HeaderMap, StatusCode};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::error::ServiceError;

/// What S3 said: the document where there is one, else status and reason phrase, as botocore has it.
pub fn parse_error(status: StatusCode, headers: &HeaderMap, document: &[u8]) -> ServiceError {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut error = ServiceError {
        status: status.as_u16(),
        code: status.as_u16().to_string(),
        message: status.canonical_reason().unwrap_or_default().to_owned(),
        request_id: text("x-amz-request-id"),
        host_id: text("x-amz-id-2"),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        details: Vec::new(),
    };
    let Some(document) = children(document) else { return error };
    error.message.clear(); // what a document does not say is not known
    for (name, value) in document {
        match name.as_str() {
            "Code" => error.code = value,
            "Message" => error.message = value,
            "RequestId" => error.request_id = error.request_id.or(Some(value)),
            "HostId" => error.host_id = error.host_id.or(Some(value)),
            _ => error.details.push((name, value)),
        }
    }
    error
}

/// The children of the root, when that is `<Error>`. `None` for anything that isn't such a document.
fn children(document: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(document).ok()?;
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                path.push(tag.local_name().as_ref().to_owned());
                if path.first()? != "Error" {
                    return None;
                }
                value.clear();
            }
            Event::Text(text) if path.len() == 2 => value.push_str(&text.xml10_content()),
            Event::CData(text) if path.len() == 2 => value.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) if path.len() == 2 => match reference.resolve_char_ref().ok()? {
                Some(character) => value.push(character),
                None => value.push_str(quick_xml::escape::resolve_predefined_entity(&reference)?),
            },
            Event::End(_) => {
                let name = path.pop()?;
                match path.len() {
                    0 => return Some(found),
                    1 => found.push((name, std::mem::take(&mut value))),
                    _ => {}
                }
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_speaks() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
            <Error><Code>NoSuchKey</Code><Message>a &lt;b&gt; &#38; c</Message><Key>k</Key><RequestId>r</RequestId>
            <HostId>h</HostId><Deep><Code>no</Code></Deep></Error>"#;
        let error = parse_error(StatusCode::NOT_FOUND, &HeaderMap::new(), document);
        assert_eq!((error.code.as_str(), error.message.as_str()), ("NoSuchKey", "a <b> & c"));
        assert_eq!((error.request_id.as_deref(), error.host_id.as_deref()), (Some("r"), Some("h")));
        assert!(error.details.contains(&("Key".into(), "k".into())));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_document_or_none(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let error = parse_error(StatusCode::FORBIDDEN, &HeaderMap::new(), &bytes);
            proptest::prop_assert_eq!(error.status, 403);
        }

        #[test]
        fn what_is_written_is_read_and_a_cut_document_says_nothing(
            code in "[A-Za-z]{1,20}", message in "[ -~é€]{0,40}", cut: proptest::sample::Index,
        ) {
            let escaped = message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let whole = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{escaped}</Message></Error>");
            let error = parse_error(StatusCode::CONFLICT, &HeaderMap::new(), whole.as_bytes());
            proptest::prop_assert_eq!((&error.code, &error.message), (&code, &message));
            let part = &whole.as_bytes()[..cut.index(whole.len())];
            let error = parse_error(StatusCode::CONFLICT, &HeaderMap::new(), part);
            proptest::prop_assert_eq!(error.code, "409");
        }
    }

    #[test]
    fn a_document_without_a_message_has_none() {
        let error = parse_error(StatusCode::FORBIDDEN, &HeaderMap::new(), b"<Error><Code>AccessDenied</Code></Error>");
        assert_eq!((error.code.as_str(), error.message.as_str()), ("AccessDenied", ""));
    }

    #[test]
    fn without_a_document_the_status_speaks() {
        for document in ["", "<html><body>busy</body></html>", "<Error><Code>Cut", "not xml", "<Error", "\u{1}"] {
            let error = parse_error(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), document.as_bytes());
            assert_eq!((error.code.as_str(), error.message.as_str()), ("503", "Service Unavailable"), "{document:?}");
        }
    }

    #[test]
    fn headers_are_kept_whatever_their_bytes() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-request-id", http::HeaderValue::from_bytes(b"r\xff").unwrap());
        let error = parse_error(StatusCode::FORBIDDEN, &headers, b"");
        assert_eq!(error.request_id.as_deref(), Some("r\u{fffd}"));
    }
}
