//! Time: what is slow but moves is waited for, what only pretends to move is not, and our own disk is not the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use s3bulk::error::{Kind, Result};
use s3bulk::wire::body::{BoxFuture, FRAME, Payload, ReadAt};
use s3bulk::wire::checksum::crc64;
use s3bulk::wire::object::{Limits, ObjectRequest};

use crate::download_setup::{fails, is_kind, on};
use crate::fault_server::{Fault, Operation, Script};
use crate::rig::{MIDDLING, Rig, SMALL, options, watched};

/// A file on a disk that takes longer for each read than a server may be silent.
struct SlowDisk(Bytes, Duration);

impl ReadAt for SlowDisk {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<Result<Bytes>> {
        let (read, time) = (self.0.read_at(offset, length), self.1);
        Box::pin(async move {
            tokio::time::sleep(time).await;
            read.await
        })
    }
}

async fn put_slowly(rig: &Rig, bytes: &Bytes) -> Result<()> {
    let source = Arc::new(SlowDisk(bytes.clone(), options().read_timeout * 3 / 2));
    let payload = Payload::Stretch { source, offset: 0, length: bytes.len() as u64, crc64: crc64(bytes) };
    let request = ObjectRequest {
        payload,
        sha256: Some(s3bulk::wire::sign::UNSIGNED.into()),
        ..ObjectRequest::new("PutObject", Method::PUT, "bucket", "key")
    };
    let client = rig.engine.client();
    watched(client.wire().attempt(&request, Limits::new(client.options(), None))).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_not_a_silent_server() {
    let rig = Rig::new(Script::new());
    let bytes = Bytes::from(vec![7; 2 * FRAME + 1]);
    put_slowly(&rig, &bytes).await.unwrap();
    assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes);
    assert_eq!(rig.server.stats().requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_one_behind_a_slow_disk_too() {
    let rig = Rig::new(Script::new().rule(on(Operation::PutObject).then(Fault::HangBeforeHead)));
    let began = Instant::now();
    let error = put_slowly(&rig, &Bytes::from(vec![7; FRAME + 1])).await.unwrap_err();
    assert_eq!((error.kind(), rig.server.fired("fault")), (&Kind::ReadTimeout, 1), "{error}");
    assert!(began.elapsed() >= options().read_timeout * 4);
}

/// A byte each 50 ms is 20 bytes a second, and never 400 ms of silence.
const TRICKLE: Fault = Fault::Trickle { bytes: 1, interval: Duration::from_millis(50) };

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_trickles_is_given_up() {
    for size in [SMALL, MIDDLING] {
        fails(size, on(Operation::GetObject).then(TRICKLE), is_kind(Kind::ReadTimeout)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_trickles_is_given_up() {
    let rig = Rig::new(Script::new().rule(on(Operation::ListObjectsV2).then(TRICKLE)));
    let (_, _, error) = crate::download_setup::take(&rig).await;
    let error = error.expect("an error");
    assert_eq!((error.kind(), rig.server.fired("fault")), (&Kind::ReadTimeout, 4), "{error}");
}
