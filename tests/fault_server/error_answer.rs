//! S3's error answers.

use super::fault::{StatusBody, StatusFault};
use super::request::Request;
use super::response::{Response, reason};
use super::xml::{DECLARATION, element};

/// Identifies a request in the server's answers; a real server has a new one each time.
pub const REQUEST_ID: &str = "FAULTSERVER00001";
pub const HOST_ID: &str = "fault-server-host-id";

/// Status and code from AWS "Error responses".
#[derive(Clone, Debug)]
pub struct ErrorAnswer {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

impl ErrorAnswer {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> ErrorAnswer {
        ErrorAnswer { status, code, message: message.into() }
    }

    pub fn into_response(self, request: &Request) -> Response {
        let document = error_document(self.code, &self.message, request);
        bodiless_on_head(Response::xml(self.status, document), request)
    }
}

pub fn error_document(code: &str, message: &str, request: &Request) -> String {
    let resource = request.target.split('?').next().unwrap_or_default();
    format!(
        "{DECLARATION}<Error>{}{}{}{}{}</Error>",
        element("Code", code),
        element("Message", message),
        element("Resource", resource),
        element("RequestId", REQUEST_ID),
        element("HostId", HOST_ID),
    )
}

pub fn scripted(fault: &StatusFault, request: &Request) -> Response {
    let mut response = match fault.body {
        StatusBody::Xml => Response::xml(fault.status, error_document(&fault.code, &fault.message, request)),
        StatusBody::Empty => Response::new(fault.status),
        StatusBody::Html => Response::new(fault.status).with("Content-Type", "text/html").with_body(format!(
            "<html><body><h1>{} {}</h1></body></html>",
            fault.status,
            reason(fault.status)
        )),
    };
    for (name, value) in &fault.headers {
        response.set(name, value.as_str());
    }
    bodiless_on_head(response, request)
}

fn bodiless_on_head(mut response: Response, request: &Request) -> Response {
    if request.method == "HEAD" {
        response.body.clear();
    }
    response
}
