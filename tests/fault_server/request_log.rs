//! What was asked and what was answered, in the order of arrival.

use super::operation::Operation;
use super::request::Request;

#[derive(Clone, Debug)]
pub struct RequestRecord {
    pub operation: Operation,
    /// Number of the connection, from 0, and how many requests it had carried before.
    pub connection: usize,
    pub served_before: usize,
    pub method: String,
    /// As it stood in the request line.
    pub target: String,
    pub bucket: Option<String>,
    pub key: Option<String>,
    pub part_number: Option<u32>,
    pub range: Option<String>,
    /// Names in the case in which they came.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body that were read.
    pub body_bytes: u64,
    /// Rules that took this request.
    pub rules: Vec<String>,
    /// `None` as long as, or because, no status line was sent.
    pub status: Option<u16>,
}

impl RequestRecord {
    pub fn new(request: &Request, connection: usize, served_before: usize, rules: Vec<String>) -> RequestRecord {
        RequestRecord {
            operation: request.operation,
            connection,
            served_before,
            method: request.method.clone(),
            target: request.target.clone(),
            bucket: request.bucket.clone(),
            key: request.key.clone(),
            part_number: request.part_number(),
            range: request.header("range").map(str::to_owned),
            headers: request.headers.clone(),
            body_bytes: 0,
            rules,
            status: None,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
