//! A scripted S3 server: it keeps objects in memory, follows S3's rules, and breaks them where a script says so.
//!
//! ```ignore
//! let server = FaultServer::start(
//!     Script::new().rule(Rule::new("busy").on(Operation::PutObject).first(2).then(Fault::status(503, "SlowDown"))),
//! );
//! server.create_bucket("bucket");
//! // ... the code under test talks to `server.endpoint()` ...
//! assert_eq!(server.fired("busy"), 2);
//! assert_eq!(server.stats().count(Operation::PutObject), 3);
//! ```
//!
//! HTTP is written by hand on raw TCP: a library would refuse to send most of what has to be sent here.
//! The server lives on a thread and a runtime of its own, so a blocked or paused client never holds it up.
#![allow(
    dead_code,
    unused_imports,
    reason = "each crate that includes this folder uses its own part of the script vocabulary"
)]

mod authorization;
mod checksum;
mod clock;
mod connection;
mod control;
mod delivery;
mod dispatch;
mod error_answer;
mod fault;
mod leaky_bucket;
mod list;
mod matcher;
mod multipart;
mod multipart_complete;
mod object;
mod operation;
mod payload;
mod request;
mod request_log;
mod response;
mod rule;
pub mod rule_text;
mod script;
mod server;
mod state;
mod stats;
mod store;
mod tls;
#[cfg(test)]
mod watchdog;
mod wire;
mod xml;

pub use checksum::Algorithm;
pub use fault::{Ending, Fault, ListFault, Moment, StatusBody, StatusFault};
pub use operation::Operation;
pub use request_log::RequestRecord;
pub use rule::Rule;
pub use script::Script;
pub use server::{FaultServer, TimedOut};
pub use stats::Stats;
pub use store::{Object, StoredChecksum};
pub use tls::{Certificate, self_signed};
