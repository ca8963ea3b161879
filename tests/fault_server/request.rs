//! The head of a request, parsed by hand and never tidied up.

use super::operation::Operation;

/// Names and values exactly as they came; the key is decoded, never normalised.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub bucket: Option<String>,
    pub key: Option<String>,
    pub query: Vec<(String, String)>,
    pub operation: Operation,
}

impl Request {
    /// `None` if these bytes are no HTTP/1 request head, or the key is no UTF-8.
    pub fn parse(head: &[u8], virtual_host_suffix: Option<&str>) -> Option<Request> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?.to_owned(), words.next()?.to_owned(), words.next()?);
        // A proxy is given whole URLs, and a server has to take them too (RFC 9112 section 3.2.2).
        let whole = match target.strip_prefix("http://") {
            Some(rest) => &rest[rest.find('/')?..],
            None => target.as_str(),
        };
        if !version.starts_with("HTTP/1.") || !whole.starts_with('/') || words.next().is_some() {
            return None;
        }
        let headers: Vec<(String, String)> = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Option<_>>()?;
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
            })
            .collect::<Option<Vec<_>>>()?;
        let host = find(&headers, "host").unwrap_or_default();
        let (bucket, key) = locate(path, host, virtual_host_suffix)?;
        let operation = Operation::of(&method, bucket.is_some(), key.is_some(), |name| {
            query.iter().any(|(known, _)| known == name)
        });
        Some(Request { method, target: target.clone(), headers, bucket, key, query, operation })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn part_number(&self) -> Option<u32> {
        self.query("partNumber")?.parse().ok()
    }

    /// First byte of a `bytes=a-b` range.
    pub fn range_start(&self) -> Option<u64> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }

    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    pub fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Bucket and key. Only the first slash is a separator: `//`, `.` and `..` belong to the key, as they do on S3.
fn locate(path: &str, host: &str, virtual_host_suffix: Option<&str>) -> Option<(Option<String>, Option<String>)> {
    let name = host.split(':').next().unwrap_or_default();
    let virtual_bucket =
        virtual_host_suffix.and_then(|suffix| name.strip_suffix(suffix)).and_then(|rest| rest.strip_suffix('.'));
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = match virtual_bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let present =
        |text: &str| -> Option<Option<String>> { if text.is_empty() { Some(None) } else { decode(text).map(Some) } };
    Some((present(bucket)?, present(key)?))
}

fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
