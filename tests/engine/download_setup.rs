//! What all tests of downloads ask: did the fault happen, is the file whole or the old one kept, is nothing left.

use std::sync::Arc;

use s3bulk::error::{Error, Kind};
use s3bulk::flow::Cancel;
use s3bulk::transfer::{Engine, Report};

use crate::fault_server::{Fault, Operation, Rule, Script};
use crate::rig::{Rig, assert_named, content};

/// The new object, whole, in place of an old file.
pub async fn arrives_by(size: usize, script: Script) -> Rig {
    let rig = Rig::new(script);
    rig.server.put("bucket", "key", content(size));
    arrives_at(rig, &content(size)).await
}

pub async fn arrives(size: usize, rule: Rule) -> Rig {
    arrives_by(size, Script::new().rule(rule)).await
}

pub async fn arrives_at(rig: Rig, bytes: &[u8]) -> Rig {
    std::fs::write(rig.target(), b"old").unwrap();
    let size = rig.download().await.unwrap();
    assert!(rig.server.fired("fault") >= 1, "the fault did not happen");
    assert!(std::fs::read(rig.target()).unwrap() == bytes, "other bytes arrived");
    assert_eq!((size as usize, rig.names()), (bytes.len(), vec!["target".to_owned()]));
    rig.assert_clean().await;
    rig
}

/// A named error, and the old file as it was.
pub async fn fails(size: usize, rule: Rule, expected: impl Fn(&Error) -> bool) -> Rig {
    let rig = Rig::new(Script::new().rule(rule));
    rig.server.put("bucket", "key", content(size));
    std::fs::write(rig.target(), b"old").unwrap();
    let error = rig.download().await.unwrap_err();
    assert!(rig.server.fired("fault") >= 1, "the fault did not happen");
    assert!(expected(&error), "{error:?}");
    assert_named(&error, &rig);
    assert_eq!(std::fs::read(rig.target()).unwrap(), b"old", "the old file is gone");
    assert_eq!(rig.names(), ["target"]);
    rig.assert_clean().await;
    rig
}

macro_rules! arriving {
    ($($name:ident: $size:expr, $rule:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::download_setup::arrives($size, $rule).await;
        })*
    };
}
pub(crate) use arriving;

macro_rules! failing {
    ($($name:ident: $size:expr, $rule:expr, $expected:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::download_setup::fails($size, $rule, $expected).await;
        })*
    };
}
pub(crate) use failing;

pub fn on(operation: Operation) -> Rule {
    Rule::new("fault").on(operation)
}

pub fn is_kind(kind: Kind) -> impl Fn(&Error) -> bool {
    move |error| *error.kind() == kind
}

/// A bucket with objects whose content is their key.
pub fn filled(script: Script, keys: &[&str]) -> Rig {
    let rig = Rig::new(script);
    for key in keys {
        rig.server.put("bucket", key, key.as_bytes().to_vec());
    }
    rig
}

pub async fn take(rig: &Rig) -> (Vec<String>, Report, Option<Error>) {
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    rig.assert_clean().await;
    let done = report.done.iter().map(|name| format!("p/{name}")).collect();
    (done, report, error)
}

/// Every file of a folder, hidden ones too, by its path below it.
pub fn files(rig: &Rig) -> Vec<String> {
    let (mut folders, mut files) = (vec![rig.target()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(rig.target()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// A rig's engine that waits long before it gives up.
pub fn patient(rig: Rig) -> Rig {
    let options = s3bulk::config::TransferOptions {
        read_timeout: std::time::Duration::from_secs(60),
        ..(**rig.engine.client().options()).clone()
    };
    let engine: Arc<Engine> = rig.engine.with_options(options).unwrap();
    Rig { engine, ..rig }
}

pub fn denied() -> Fault {
    Fault::status(403, "AccessDenied").into()
}
