//! What a test in another process may ask over HTTP. No bucket can have such a name.
//!
//! `GET /_stats` and `GET /_requests` answer in JSON lines; `POST /_rules` adds the rules of its body, one a line;
//! `DELETE /_rules` forgets all rules.

use std::fmt::Write as _;

use super::request::Request;
use super::response::Response;
use super::rule_text;
use super::state::State;

pub fn concerns(request: &Request) -> bool {
    request.bucket.as_deref().is_some_and(|bucket| bucket.starts_with('_'))
}

pub fn answer(state: &State, request: &Request, body: &[u8]) -> Response {
    match (request.method.as_str(), request.bucket.as_deref()) {
        ("GET", Some("_stats")) => lines(stats(state)),
        ("GET", Some("_requests")) => lines(requests(state)),
        ("POST", Some("_rules")) => {
            let text = String::from_utf8_lossy(body);
            let rules: Result<Vec<_>, String> =
                text.lines().filter(|line| !line.trim().is_empty()).map(rule_text::parse).collect();
            match rules {
                Ok(rules) => {
                    rules.into_iter().for_each(|rule| state.add_rule(rule));
                    Response::new(204)
                }
                Err(reason) => Response::new(400).with_body(reason),
            }
        }
        ("DELETE", Some("_rules")) => {
            state.clear_rules();
            Response::new(204)
        }
        _ => Response::new(404),
    }
}

fn lines(text: String) -> Response {
    Response::new(200).with("Content-Type", "application/x-ndjson").with_body(text)
}

fn stats(state: &State) -> String {
    let stats = state.stats.borrow().clone();
    let mut counters: Vec<(String, u64)> = vec![
        ("connections_accepted".to_owned(), stats.connections_accepted as u64),
        ("connections_open".to_owned(), stats.connections_open as u64),
        ("connections_peak".to_owned(), stats.connections_peak as u64),
        ("requests_in_flight".to_owned(), stats.requests_in_flight as u64),
        ("requests_peak".to_owned(), stats.requests_peak as u64),
        ("uploads_open".to_owned(), stats.uploads_open as u64),
        ("bytes_in".to_owned(), stats.bytes_in),
        ("bytes_out".to_owned(), stats.bytes_out),
        ("held".to_owned(), stats.held as u64),
        ("held_until_peer_closed".to_owned(), stats.held_until_peer_closed as u64),
        ("tls_full_handshakes".to_owned(), stats.tls_full_handshakes as u64),
        ("tls_resumed_handshakes".to_owned(), stats.tls_resumed_handshakes as u64),
    ];
    counters.extend(stats.operations.iter().map(|(it, count)| (format!("operations.{it:?}"), *count as u64)));
    counters.extend(stats.fired.iter().map(|(id, count)| (format!("fired.{id}"), *count as u64)));
    counters.iter().fold(String::new(), |mut text, (name, value)| {
        let _infallible = writeln!(text, "{{\"name\":{},\"value\":{value}}}", json(name));
        text
    })
}

fn requests(state: &State) -> String {
    state.requests().iter().fold(String::new(), |mut text, record| {
        let optional = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), json);
        let status = record.status.map_or_else(|| "null".to_owned(), |status| status.to_string());
        let part_number = record.part_number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        let headers: Vec<String> =
            record.headers.iter().map(|(name, value)| format!("[{},{}]", json(name), json(value))).collect();
        let _infallible = writeln!(
            text,
            "{{\"operation\":\"{:?}\",\"bucket\":{},\"key\":{},\"part_number\":{part_number},\"range\":{},\
             \"connection\":{},\"status\":{status},\"body_bytes\":{},\"headers\":[{}]}}",
            record.operation,
            optional(record.bucket.as_deref()),
            optional(record.key.as_deref()),
            optional(record.range.as_deref()),
            record.connection,
            record.body_bytes,
            headers.join(","),
        );
        text
    })
}

fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
