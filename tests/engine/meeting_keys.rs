//! Keys that need one place by what is on the disk, which their names don't tell: one arrives, the other one is refused.

use std::fs;
use std::os::unix::fs::symlink;

use s3bulk::config::TransferOptions;
use s3bulk::error::Kind;

use crate::download_setup::{files, take};
use crate::fault_server::Script;
use crate::rig::{LARGE, MIDDLING, Rig, SMALL, content, unhurried};

/// A rig with objects of one size and different content, as many lanes, and a target with a folder `v1`.
fn filled(lanes: usize, size: usize, keys: &[&str]) -> Rig {
    let rig = Rig::with(Script::new(), TransferOptions { max_concurrency: lanes, ..unhurried() });
    for key in keys {
        rig.server.put("bucket", key, object(key, size));
    }
    fs::create_dir_all(rig.target().join("v1")).unwrap();
    rig
}

fn object(key: &str, size: usize) -> Vec<u8> {
    let mut bytes = content(size);
    bytes[..key.len()].copy_from_slice(key.as_bytes());
    bytes
}

/// Of two keys one is done and whole, and the other one has failed with an error that names both.
async fn assert_one_arrives(rig: &Rig, size: usize, keys: [&str; 2], place: &str, there: &[&str]) {
    let (done, report, error) = take(rig).await;
    let error = error.expect("an error");
    assert_eq!(error.kind(), &Kind::KeyCollision, "{error:?}");
    for key in keys {
        assert!(error.message().contains(&format!("{key:?}")), "{error}");
    }
    let failed: Vec<String> = report.failed.iter().map(|(name, _)| format!("p/{name}")).collect();
    assert_eq!((done.len(), failed.len(), report.not_begun.len()), (1, 1, 0), "{report:?}");
    assert!(done[0] != failed[0] && keys.contains(&&*done[0]) && keys.contains(&&*failed[0]), "{report:?}");
    assert_eq!(error.context().key.as_ref(), Some(&failed[0]));
    let arrived = fs::read(rig.target().join(place)).unwrap();
    assert!(arrived == object(&done[0], size), "other bytes than those of {}", done[0]);
    assert_eq!((files(rig), rig.names()), (there.iter().map(|&name| name.to_owned()).collect(), vec!["target".into()]));
}

/// New and in place of an old file, of all sizes that go ways of their own, one after the other and at once.
fn cases() -> impl Iterator<Item = (usize, usize, bool)> {
    let sizes = [SMALL, MIDDLING, LARGE].into_iter();
    sizes.flat_map(|size| [(size, 1, false), (size, 1, true), (size, 64, false), (size, 64, true)])
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_meet_through_a_link_to_a_folder_do_not_replace_each_other() {
    for (size, lanes, old) in cases() {
        let keys = ["p/latest/x", "p/v1/x"];
        let rig = filled(lanes, size, &keys);
        symlink("v1", rig.target().join("latest")).unwrap();
        if old {
            fs::write(rig.target().join("v1/x"), "old").unwrap();
        }
        // One file, to which two ways lead.
        assert_one_arrives(&rig, size, keys, "v1/x", &["latest/x", "v1/x"]).await;
        assert!(rig.target().join("latest").is_symlink());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_meet_through_a_link_to_a_file_do_not_replace_each_other() {
    for (size, lanes, old) in cases() {
        let keys = ["p/a", "p/b"];
        let rig = filled(lanes, size, &keys);
        symlink("b", rig.target().join("a")).unwrap();
        if old {
            fs::write(rig.target().join("b"), "old").unwrap();
        }
        assert_one_arrives(&rig, size, keys, "b", &["a", "b"]).await;
        assert!(rig.target().join("a").is_symlink());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_by_no_other_key_of_the_transfer_is_replaced() {
    let keys = ["p/hard/a", "p/hard/b", "p/old", "p/v1/x"];
    for size in [SMALL, MIDDLING, LARGE] {
        let rig = filled(64, size, &keys);
        let at = |name: &str| rig.target().join(name);
        fs::create_dir(at("hard")).unwrap();
        fs::write(at("hard/a"), "old").unwrap();
        fs::hard_link(at("hard/a"), at("hard/b")).unwrap();
        fs::write(at("old"), "old").unwrap();
        // The second transfer replaces all that the first one has brought.
        for round in 0..2 {
            for key in keys {
                rig.server.put("bucket", key, object(&format!("{round}{key}"), size));
            }
            let (done, report, error) = take(&rig).await;
            assert!(error.is_none(), "{error:?} {report:?}");
            assert_eq!(
                (done, files(&rig)),
                (keys.map(str::to_owned).into(), keys.map(|key| key[2..].to_owned()).into())
            );
            for key in keys {
                assert!(fs::read(at(&key[2..])).unwrap() == object(&format!("{round}{key}"), size), "{key}");
            }
        }
    }
}
