//! Generated keys and links against an oracle: whatever they are, nothing outside the target changes, and what counts as
//! done is there. `PROPTEST_CASES` says how many trees; `make test-all` takes more.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::Config;
use s3bulk::error::Kind;

use crate::download_setup::{filled, take};
use crate::fault_server::Script;
use crate::rig::Rig;

const CASES: u32 = 48;

/// Parts of keys: names that are links or folders, names that lead somewhere, names that are hard to store.
fn part() -> impl Strategy<Value = String> {
    let plain = ["a", "b", "file", "in", "out", "up", "dangling", "circle", "top"];
    let leading = ["..", ".", "", "...", "..\\..", "\\", "C:", "~", "/etc", "outside"];
    let hard =
        [" ", "é", "e\u{301}", "\u{1}", "\n", "a\0b", "\u{feff}", "%2e%2e", ".s3bulk-1-2-0000000a-000000000000000b"];
    prop_oneof![
        6 => prop::sample::select(plain.to_vec()).prop_map(str::to_owned),
        3 => prop::sample::select(leading.to_vec()).prop_map(str::to_owned),
        2 => prop::sample::select(hard.to_vec()).prop_map(str::to_owned),
        1 => (254..257usize).prop_map(|length| "n".repeat(length)),
        1 => "\\PC{1,6}",
    ]
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    let key = prop::collection::vec(part(), 1..6).prop_map(|parts| format!("p/{}", parts.join("/")));
    prop::collection::vec(key, 1..10)
}

/// Links that stand in the target before: names from the keys, and texts that lead in, out, about and nowhere. The
/// second folder of the place stands for all that is outside.
fn links() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = ["in", "out", "up", "dangling", "circle", "top", "a/in", "a/out", "b/up", "file"];
    let texts = ["a", "b/../a", ".", "..", "../..", "../../outside", "../outside", "OUTSIDE", "OUTSIDE/file", "TARGET"];
    let more = ["../outside/new", "missing/new", "circle", "in", "out", "/", "OUTSIDE/back/a", "TARGET/../outside"];
    let texts: Vec<_> = texts.into_iter().chain(more).map(str::to_owned).collect();
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    prop::collection::vec((name, prop::sample::select(texts)), 0..6)
}

/// Everything below a folder but one of its folders, links not followed: what it is, and whether it was touched.
fn all_but(folder: &Path, left_out: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is = fs::symlink_metadata(&path).unwrap();
            if path == left_out {
                continue; // its own times change with what is in it
            }
            let content = if is.is_file() { fs::read(&path).unwrap() } else { vec![] };
            if is.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (is.ino(), is.mode(), is.mtime(), is.ctime(), content));
        }
    }
    found
}

/// A target that has the links, beside a folder that has a file and a way back.
fn furnish(rig: &Rig, links: &[(String, String)]) {
    let (place, target) = (rig.folder.path(), rig.target());
    let outside = place.join("outside");
    fs::create_dir_all(target.join("a")).unwrap();
    fs::create_dir_all(target.join("b")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "outside").unwrap();
    symlink(&target, outside.join("back")).unwrap();
    for (name, text) in links {
        let text = text.replace("OUTSIDE", outside.to_str().unwrap()).replace("TARGET", target.to_str().unwrap());
        // The same name twice: the first one stands.
        let _taken = symlink(text, target.join(name));
    }
}

async fn nothing_leads_outside(keys: &[String], links: &[(String, String)]) -> Result<&'static str, TestCaseError> {
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    let rig = filled(Script::new().page_size(3), &keys);
    furnish(&rig, links);
    let before = all_but(rig.folder.path(), &rig.target());
    let (done, report, error) = take(&rig).await;
    prop_assert_eq!(&before, &all_but(rig.folder.path(), &rig.target()), "something outside was touched");
    for path in all_but(&rig.target(), Path::new("")).keys() {
        let name = path.file_name().unwrap().to_string_lossy();
        let is_left = name.starts_with(&format!(".s3bulk-{}-", std::process::id()));
        prop_assert!(!is_left, "{path:?} is left");
    }
    for (name, key) in report.done.iter().zip(&done) {
        let folded: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let there = fs::read(rig.target().join(folded.join("/")));
        // Where links lead two keys to one place, one of them is not done.
        prop_assert!(there.as_ref().is_ok_and(|bytes| key.as_bytes() == bytes), "{key:?} is not there: {there:?}");
    }
    match error {
        None => {
            let wanted = keys.iter().filter(|key| !key.ends_with('/')).count();
            prop_assert_eq!(done.len(), wanted, "not all was done and nothing was said");
            Ok("done")
        }
        Some(error) => {
            let kind = error.kind();
            let expected = matches!(kind, Kind::SuspiciousKey | Kind::KeyCollision | Kind::Io(..));
            prop_assert!(expected, "{error:?}");
            Ok(if matches!(kind, Kind::Io(..)) { "failed" } else { "refused" })
        }
    }
}

#[test]
fn no_generated_tree_of_keys_and_links_leads_outside() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = std::cell::RefCell::new(BTreeMap::<&str, u32>::new());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    proptest!(config, |(keys in keys(), links in links())| {
        let how = runtime.block_on(nothing_leads_outside(&keys, &links))?;
        *ended.borrow_mut().entry(how).or_default() += 1;
    });
    println!("{cases} trees: {ended:?}");
    // Both ways out were taken: neither is everything refused, nor is nothing hostile.
    assert!(ended.borrow().contains_key("done") && ended.borrow().contains_key("refused"), "{ended:?}");
}
