//! Bytes that are not the object's: flipped, moved, compressed, or of another object. None of them is ever accepted.

use bytes::Bytes;
use s3bulk::error::Kind;
use s3bulk::flow::Cancel;

use crate::download_setup::{arrives, fails, is_kind, on};
use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, unhurried};

const RANGE: usize = 5 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_at_any_byte_of_a_small_object_is_noticed() {
    let key = |at: usize| format!("p/{at:04}");
    let script = (0..SMALL).fold(Script::new(), |script, at| {
        let rule = Rule::new(&key(at)).on(Operation::GetObject).key(&key(at)).first(1);
        script.rule(rule.then(Fault::FlipBit { at }))
    });
    let rig = Rig::with(script, unhurried());
    for at in 0..SMALL {
        rig.server.put("bucket", &key(at), content(SMALL));
    }
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(error.is_none() && report.done.len() == SMALL, "{error:?}");
    for at in 0..SMALL {
        assert_eq!(rig.server.fired(&key(at)), 1);
        assert!(std::fs::read(rig.target().join(&key(at)[2..])).unwrap() == content(SMALL), "{at}");
    }
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_a_large_object_is_noticed() {
    // Where buffers, frames and ranges begin and end.
    for at in [0, 1, (128 << 10) - 1, 128 << 10, 256 << 10, (1 << 20) + 1, MIDDLING - 1] {
        arrives(MIDDLING, on(Operation::GetObject).first(1).then(Fault::FlipBit { at })).await;
    }
    for range in 0..3 {
        let length = RANGE.min(LARGE - range * RANGE);
        for at in [0, length / 2, length - 1] {
            let rule = on(Operation::GetObject).range_start((range * RANGE) as u64).first(1);
            arrives(LARGE, rule.then(Fault::FlipBit { at })).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_another_place_are_noticed_whatever_their_head_says() {
    for by in [-(RANGE as i64), -1, 1, RANGE as i64] {
        let rule = || on(Operation::GetObject).range_start(RANGE as u64);
        arrives(LARGE, rule().first(1).then(Fault::OtherBytes(by))).await;
        // Honest about it.
        arrives(LARGE, rule().first(1).then(Fault::MoveRange(by))).await;
    }
    let always = on(Operation::GetObject).range_start(RANGE as u64).then(Fault::OtherBytes(RANGE as i64));
    fails(LARGE, always, is_kind(Kind::ChecksumMismatch)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ranges_in_each_others_place_are_noticed() {
    let swapped = |id: &str, start: usize, by: i64| {
        Rule::new(id).on(Operation::GetObject).range_start(start as u64).first(1).then(Fault::OtherBytes(by))
    };
    let script = Script::new().rule(swapped("fault", 0, RANGE as i64)).rule(swapped("back", RANGE, -(RANGE as i64)));
    let rig = crate::download_setup::arrives_by(LARGE, script).await;
    assert_eq!(rig.server.fired("back"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_answered_by_the_whole_is_not_taken_for_it() {
    for start in [0, RANGE as u64, 2 * RANGE as u64] {
        let rule = || on(Operation::GetObject).range_start(start).first(1);
        arrives(LARGE, rule().then(Fault::IgnoreRange)).await;
        // The whole, called a part.
        let called = Fault::set_header("content-range", format!("bytes {start}-{}/{LARGE}", LARGE - 1));
        arrives(LARGE, rule().then(Fault::IgnoreRange).then(Fault::SetStatus(206)).then(called)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_compressed_on_the_way_is_not_taken() {
    for size in [SMALL, MIDDLING, LARGE] {
        arrives(size, on(Operation::GetObject).first(1).then(Fault::Gzip)).await;
        let always = on(Operation::GetObject).then(Fault::Gzip);
        let expected = |error: &s3bulk::error::Error| {
            matches!(error.kind(), Kind::ObjectChanged | Kind::BadResponse | Kind::ChecksumMismatch)
        };
        fails(size, always, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_overwritten_between_two_ranges_is_one_or_the_other() {
    for nth in 1..=3 {
        for size in [LARGE, LARGE + 1_000, LARGE - 1_000, 3 * RANGE] {
            let new: Bytes = content(size).into_iter().rev().collect::<Vec<u8>>().into();
            let overwritten = on(Operation::GetObject).nth(nth).then(Fault::ReplaceObject(new.clone()));
            let rig = Rig::new(Script::new().rule(overwritten));
            rig.server.put("bucket", "key", content(LARGE));
            rig.download().await.unwrap();
            assert_eq!(rig.server.fired("fault"), 1);
            let bytes = std::fs::read(rig.target()).unwrap();
            assert!(bytes == new || bytes == content(LARGE), "{nth} {size}: a mixture");
            assert_eq!(rig.names(), ["target"]);
            rig.assert_clean().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_overwritten_under_the_same_etag_shows_by_its_checksum() {
    let new: Bytes = content(LARGE).into_iter().rev().collect::<Vec<u8>>().into();
    let overwritten = on(Operation::GetObject).nth(1).then(Fault::ReplaceObject(new.clone()));
    let same = || Fault::set_header("etag", "\"same\"");
    let any = Rule::new("etag").on(Operation::GetObject).on(Operation::HeadObject).shared().then(same());
    // The condition is lost too, as behind a cache that answers for the server.
    let rig = Rig::new(Script::new().rule(any).rule(overwritten));
    rig.server.put("bucket", "key", content(LARGE));
    rig.server.change("bucket", "key", |object| object.etag = "\"same\"".into());
    match rig.download().await {
        Ok(_) => assert!(std::fs::read(rig.target()).unwrap() == new),
        Err(error) => {
            assert!(matches!(error.kind(), Kind::ObjectChanged | Kind::ChecksumMismatch), "{error}");
            assert!(rig.names().is_empty());
        }
    }
    assert!(rig.server.fired("fault") == 1 && rig.server.fired("etag") > 3);
    rig.assert_clean().await;
}

/// Flipped in so many requests: whatever checksum the server takes, it is told of no other bytes than were read.
async fn is_flipped_on_the_way_up(size: usize, operation: Operation, at: usize, times: usize, refused: &[&str]) {
    let fault = Rule::new("fault").on(operation).first(times).then(Fault::FlipBitSent { at });
    let script = refused.iter().fold(Script::new(), |script, header| {
        script.refuse_header(header, &format!("x-amz-checksum-{header}"), 501, "NotImplemented")
    });
    let rig = Rig::with(script.rule(fault), unhurried());
    rig.server.put("bucket", "key", b"old".as_slice());
    let sent = rig.upload(&content(size)).await;
    let what = format!("{operation:?} {size} {at} {times} {refused:?}: {sent:?}");
    let stored = rig.server.object("bucket", "key").unwrap().bytes;
    match times {
        usize::MAX => {
            let code = sent.err().and_then(|error| error.code().map(str::to_owned)).unwrap_or_default();
            assert!(["BadDigest", "XAmzContentSHA256Mismatch"].contains(&code.as_str()), "{what}");
            assert!(stored == b"old".as_slice() && rig.server.fired("fault") > 1, "{what}");
        }
        _ => {
            assert!(sent.is_ok() && stored == content(size), "{what}");
            assert_eq!(rig.server.fired("fault"), times, "{what}");
        }
    }
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_is_flipped_on_the_way_up_is_never_stored() {
    for times in [1, 2, usize::MAX] {
        for refused in [vec![], vec!["crc64nvme"], vec!["crc64nvme", "crc32"]] {
            for at in [0, SMALL / 2, SMALL - 1] {
                is_flipped_on_the_way_up(SMALL, Operation::PutObject, at, times, &refused).await;
            }
            is_flipped_on_the_way_up(MIDDLING, Operation::PutObject, MIDDLING - 1, times, &refused).await;
            for at in [0, RANGE - 1] {
                is_flipped_on_the_way_up(LARGE, Operation::UploadPart, at, times, &refused).await;
            }
        }
    }
}
