//! Tests of the engine against the scripted fault server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that can't go on shall say so and stop"
)]

#[path = "../fault_server/mod.rs"]
mod fault_server;

mod connection_faults;
mod connections;
mod download_cancel;
mod download_faults;
mod download_ranged_faults;
mod download_setup;
mod download_small_faults;
mod every_offset;
mod fates;
mod fault_scripts;
mod fault_server_itself;
mod generated_input;
mod hostile_answers;
mod hostile_keys;
mod hostile_trees;
mod listing_faults;
mod many_files;
mod meeting_keys;
mod multipart_faults;
mod odd_servers;
mod orphans;
#[cfg(not(feature = "portable-disk"))]
mod planted_links;
mod proxies;
mod proxy_rig;
mod range_scripts;
mod regions;
mod request_headers;
mod rig;
mod silence;
mod slow_times;
mod source_changes;
mod throttling;
mod tls;
mod upload_cancel;
mod upload_faults;
mod wrong_bytes;
