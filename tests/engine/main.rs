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
mod download_cancel;
mod download_faults;
mod download_ranged_faults;
mod download_setup;
mod download_small_faults;
mod fault_server_itself;
mod hostile_keys;
mod listing_faults;
mod many_files;
mod multipart_faults;
mod proxies;
mod proxy_rig;
mod rig;
mod slow_times;
mod source_changes;
mod upload_cancel;
mod upload_faults;
