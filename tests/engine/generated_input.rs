//! Generated keys and damaged listings: keys are sent, listed and stored as they are, and a listing is whole or an error.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use s3bulk::config::TransferOptions;
use s3bulk::flow::Cancel;
use s3bulk::transfer::LocalFile;

use crate::download_setup::{files, on};
use crate::fates::run;
use crate::fault_server::{Fault, Operation, Script};
use crate::rig::{Rig, options, watched};

/// Cases in `make test`; `PROPTEST_CASES` asks for others.
const CASES: u32 = 32;

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    Config { cases, max_shrink_iters: 50, failure_persistence: None, ..Config::default() }
}

/// A name that is one component of a path on any disk here.
fn name() -> impl Strategy<Value = String> {
    "k([ -.0-~]|[\u{1}-\u{1f}]|\\PC){0,20}".prop_filter("one component", |name| !name.contains('/'))
}

async fn as_they_are(names: &HashSet<String>, page_size: usize) {
    let rig = Rig::new(Script::new().page_size(page_size));
    for name in names {
        let key = format!("p/{name}");
        rig.server.put("bucket", &key, key.clone().into_bytes());
    }
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    let done: HashSet<String> = report.done.iter().map(ToString::to_string).collect();
    assert_eq!(&done, names);
    for name in names {
        assert_eq!(std::fs::read(rig.target().join(name)).unwrap(), format!("p/{name}").into_bytes(), "{name:?}");
    }
    rig.assert_clean().await;
}

async fn sent_as_it_is(key: &str) {
    let rig = Rig::new(Script::new());
    std::fs::write(rig.source(), key).unwrap();
    let file =
        LocalFile { path: rig.source(), bucket: "bucket".into(), key: key.into(), content_type: "text/plain".into() };
    watched(rig.engine.upload_file(&file, &Cancel::new())).await.unwrap();
    assert_eq!(rig.server.keys("bucket"), [key]);
    watched(rig.engine.download_file("bucket", key, rig.target(), &Cancel::new())).await.unwrap();
    assert_eq!(std::fs::read(rig.target()).unwrap(), key.as_bytes());
}

/// A listing of three objects as S3 sends it.
const KEYS: [&str; 3] = ["p/a", "p/b", "p/c"];

async fn damaged(fault: Fault) {
    let options = TransferOptions { read_timeout: Duration::from_secs(2), max_attempts: 2, ..options() };
    let rig = Rig::with(Script::new().rule(on(Operation::ListObjectsV2).then(fault)), options);
    for key in KEYS {
        rig.server.put("bucket", key, key.as_bytes().to_vec());
    }
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(rig.server.fired("fault") >= 1);
    // Whatever it makes of the names: what is called done is the object of that name.
    for name in &report.done {
        let bytes = std::fs::read(rig.target().join(&**name)).unwrap();
        let object = rig.server.object("bucket", &format!("p/{name}")).expect("done and not there");
        assert!(object.bytes == bytes, "{name}");
    }
    assert_eq!(files(&rig).len(), report.done.len());
    assert!(error.is_some() || report.done.len() == KEYS.len(), "{report:?}");
    rig.assert_clean().await;
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_names_are_listed_and_fetched_as_they_are(
        names in prop::collection::hash_set(name(), 1..30), page_size in 1_usize..10,
    ) {
        run(as_they_are(&names, page_size));
    }

    #[test]
    fn any_key_is_sent_and_fetched_as_it_is(key in "([./\\\\%+ ?#&=a]|\\PC){1,40}") {
        run(sent_as_it_is(&key));
    }

    /// Whatever byte it is: of a name, a size, a tag, the flag.
    #[test]
    fn a_listing_with_a_flipped_bit_is_whole_or_an_error(at in 0_usize..860) {
        run(damaged(Fault::FlipBit { at }));
    }

    /// Past the end of the document the listing is as it was.
    #[test]
    fn a_listing_that_is_cut_anywhere_is_whole_or_an_error(to in 0_usize..1_200) {
        run(damaged(Fault::TruncateBody { to }));
    }
}
