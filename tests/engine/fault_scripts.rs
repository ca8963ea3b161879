//! Generated scripts of faults against a model: what may be done, what must have failed, what is on disk and on the server.

use std::collections::HashSet;

use proptest::prelude::*;
use s3bulk::error::Error;
use s3bulk::flow::Cancel;
use s3bulk::transfer::Report;

use crate::download_setup::files;
use crate::fates::{Fate, config, mended_after, odd_answers, pick, quiet_for_three_seconds, refused, run, transient};
use crate::fault_server::{Ending, Fault, ListFault, Moment, Operation, Rule, Script};
use crate::rig::{MIDDLING, Rig, content};

fn fate_of_object() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    mended.extend([
        Fault::CutBody { after: 0, ending: Ending::Fin },
        Fault::CutBody { after: 7, ending: Ending::Reset },
        Fault::HangInBody { after: 3 },
        Fault::FlipBit { at: 5 },
        Fault::WrongChecksum,
        Fault::TruncateBody { to: 5 },
        Fault::ContentLengthOff(-1),
    ]);
    let mut lost = refused();
    lost.extend([
        Fault::status(500, "InternalError").into(),
        Fault::FlipBit { at: 5 },
        Fault::WrongChecksum,
        Fault::Garbage(b"HTTP/1.1 no\r\n\r\n".to_vec()),
        Fault::ErrorInside200 { code: "InternalError".into() },
    ]);
    prop_oneof![
        5 => Just(Fate::Untouched),
        5 => (pick(mended), 1_usize..=2).prop_map(mended_after),
        2 => pick(odd_answers()).prop_map(Fate::Odd),
        1 => pick(lost).prop_map(Fate::Lost),
    ]
}

fn fate_of_file() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    mended.extend([Fault::status(400, "BadDigest").into(), Fault::RemoveHeader("etag".into())]);
    let mut lost = refused();
    lost.extend([
        Fault::status(500, "InternalError").into(),
        Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Reset },
        // Stored each time, and never said so.
        Fault::DropAnswer(Ending::Fin),
        Fault::RemoveHeader("etag".into()),
    ]);
    let odd = vec![Fault::ManyHeaders(200), Fault::Informational(vec![102]), Fault::set_header("connection", "close")];
    prop_oneof![
        5 => Just(Fate::Untouched),
        5 => (pick(mended), 1_usize..=2).prop_map(mended_after),
        2 => pick(odd).prop_map(Fate::Odd),
        1 => pick(lost).prop_map(Fate::Lost),
    ]
}

/// What is to become of the listing.
#[derive(Clone, Debug)]
enum Pages {
    Good,
    /// One page goes wrong once, or is empty.
    Mended(Fault, usize),
    /// From this page on nothing can be believed.
    Broken(Fault, usize),
}

fn pages() -> impl Strategy<Value = Pages> {
    let mut mended = transient();
    mended.retain(|fault| !matches!(fault, Fault::DropAnswer(_)));
    mended.extend([
        ListFault::BrokenXml.into(),
        ListFault::EmptyPage.into(),
        Fault::CutBody { after: 99, ending: Ending::Reset },
        Fault::TruncateBody { to: 200 },
        Fault::CloseDelimited,
    ]);
    let broken = vec![
        ListFault::TokenMissing.into(),
        ListFault::TokenEmpty.into(),
        ListFault::TokenRepeated.into(),
        ListFault::BrokenXml.into(),
        Fault::ErrorInside200 { code: "InternalError".into() },
        Fault::status(403, "AccessDenied").into(),
        Fault::status(500, "InternalError").into(),
    ];
    prop_oneof![
        4 => Just(Pages::Good),
        3 => (pick(mended), 1_usize..4).prop_map(|(fault, page)| Pages::Mended(fault, page)),
        2 => (pick(broken), 1_usize..4).prop_map(|(fault, page)| Pages::Broken(fault, page)),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 10_usize..5_000, 2 => 10_usize..300_000, 1 => Just(MIDDLING)]
}

/// No fault of a body does anything to one that is empty.
fn item(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = (usize, Fate)> {
    (size(), fate, 0..10).prop_map(|(size, fate, dice)| if dice == 0 { (0, Fate::Untouched) } else { (size, fate) })
}

/// Name number `number`, in an order that is that of bytes and of components.
fn name(number: usize) -> String {
    format!("{number:02}")
}

fn old(number: usize) -> Vec<u8> {
    format!("old {number}").into_bytes()
}

/// Every name of the plan is in one list, once, and each list is in contract order. Returns the plan.
fn plan_of(report: &Report) -> Vec<String> {
    let failed: Vec<_> = report.failed.iter().map(|(name, _)| name.to_string()).collect();
    let lists = [
        report.done.iter().map(ToString::to_string).collect::<Vec<_>>(),
        failed,
        report.not_begun.iter().map(ToString::to_string).collect(),
    ];
    for list in &lists {
        assert!(list.is_sorted(), "{list:?}");
    }
    let mut plan = lists.concat();
    plan.sort();
    assert_eq!(plan.iter().collect::<HashSet<_>>().len(), plan.len(), "named twice: {report:?}");
    plan
}

/// What report and error must say, whichever way the bytes went.
fn judge(report: &Report, error: Option<&Error>, named: impl Fn(&str) -> usize, fates: &[Fate], whole_plan: bool) {
    for name in &report.done {
        assert!(!fates[named(name)].is_lost(), "{name} can't be done");
    }
    for (name, error) in &report.failed {
        assert!(fates[named(name)].is_lost() || error.is_cancelled(), "{name} need not have failed: {error}");
    }
    if fates.iter().any(Fate::is_lost) || !whole_plan {
        let error = error.expect("something failed and nobody says so");
        let first = report.failed.iter().find(|(_, error)| !error.is_cancelled());
        if let Some((_, first)) = first {
            assert_eq!(error.to_string(), first.to_string(), "the earliest error speaks");
        }
    } else {
        assert!(error.is_none(), "{error:?}");
        assert_eq!(report.done.len(), fates.len());
    }
}

/// Without those that another failure has stopped.
fn failed_by_themselves(report: &Report, named: impl Fn(&str) -> usize) -> HashSet<usize> {
    let failed = report.failed.iter().filter(|(_, error)| !error.is_cancelled());
    failed.map(|(name, _)| named(name)).collect()
}

async fn download_agrees(sizes: &[usize], fates: &[Fate], pages: &Pages, page_size: usize) {
    let mut script = Script::new().page_size(page_size);
    let list = |page: usize| Rule::new("list").on(Operation::ListObjectsV2).nth(page);
    script = match pages {
        Pages::Good => script,
        Pages::Mended(fault, page) => script.rule(list(*page).then(fault.clone())),
        Pages::Broken(fault, page) => {
            script.rule(Rule::new("list").on(Operation::ListObjectsV2).from(*page).then(fault.clone()))
        }
    };
    let key = |number: usize| format!("p/{}", name(number));
    for (number, fate) in fates.iter().enumerate() {
        script = fate.rule(Operation::GetObject, &key(number)).into_iter().fold(script, Script::rule);
    }
    let rig = Rig::with(script, quiet_for_three_seconds());
    std::fs::create_dir(rig.target()).unwrap();
    for (number, size) in sizes.iter().enumerate() {
        rig.server.put("bucket", &key(number), content(*size));
        if number % 2 == 0 {
            std::fs::write(rig.target().join(name(number)), old(number)).unwrap();
        }
    }
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;

    // Whole pages, from the first one on: nothing of a page that can't be believed.
    let plan = plan_of(&report);
    let all: Vec<String> = (0..sizes.len()).map(name).collect();
    assert_eq!(plan, all[..plan.len()]);
    let believed = match pages {
        // The first page was asked for without a token: that its own leads back to it shows in the second.
        Pages::Broken(Fault::List(ListFault::TokenRepeated), 1) => page_size.min(all.len()),
        Pages::Broken(_, page) => ((page - 1) * page_size).min(all.len()),
        _ => all.len(),
    };
    // A last page needs no token: where the listing is at its end, no token can be wrong.
    assert!(plan.len() <= believed || rig.server.fired("list") == 0, "{plan:?}");
    let listed_whole = matches!(pages, Pages::Good | Pages::Mended(..)) || rig.server.fired("list") == 0;
    if let (Pages::Mended(_, page), true) = (pages, plan.len() == all.len()) {
        let is_asked_for = *page <= all.len().div_ceil(page_size);
        assert!(!is_asked_for || rig.server.fired("list") == 1, "page {page} was good");
    }
    let named = |name: &str| name.parse::<usize>().unwrap();
    // Who is behind an error of a page may not have been asked for at all.
    let known = if listed_whole { fates } else { &fates[..plan.len()] };
    judge(&report, error.as_ref(), named, known, listed_whole);

    let done: HashSet<usize> = report.done.iter().map(|name| named(name)).collect();
    let failed = failed_by_themselves(&report, named);
    let mut expected: Vec<String> = (0..sizes.len()).filter(|at| at % 2 == 0 || done.contains(at)).map(name).collect();
    expected.sort();
    assert_eq!(files(&rig), expected, "{report:?}");
    for number in 0..sizes.len() {
        let path = rig.target().join(name(number));
        if done.contains(&number) {
            assert!(std::fs::read(path).unwrap() == content(sizes[number]), "{number}: other bytes");
        } else if number % 2 == 0 {
            assert_eq!(std::fs::read(path).unwrap(), old(number), "the old file is gone");
        }
        if done.contains(&number) || failed.contains(&number) {
            fates[number].assert_happened(rig.server.fired(&key(number)));
        }
    }
    rig.assert_clean().await;
}

async fn upload_agrees(sizes: &[usize], fates: &[Fate]) {
    let key = |number: usize| format!("p/{}", name(number));
    let script = fates.iter().enumerate().fold(Script::new(), |script, (number, fate)| {
        fate.rule(Operation::PutObject, &key(number)).into_iter().fold(script, Script::rule)
    });
    let rig = Rig::with(script, quiet_for_three_seconds());
    std::fs::create_dir(rig.source()).unwrap();
    for (number, size) in sizes.iter().enumerate() {
        std::fs::write(rig.source().join(name(number)), content(*size)).unwrap();
        if number % 2 == 0 {
            rig.server.put("bucket", &key(number), old(number));
        }
    }
    let (report, error) = rig.upload_folder(&Cancel::new()).await;

    assert_eq!(plan_of(&report), (0..sizes.len()).map(key).collect::<Vec<_>>());
    let named = |key: &str| key[2..].parse::<usize>().unwrap();
    judge(&report, error.as_ref(), named, fates, true);
    let done: HashSet<usize> = report.done.iter().map(|key| named(key)).collect();
    let failed = failed_by_themselves(&report, named);
    let begun: HashSet<usize> = report.failed.iter().map(|(key, _)| named(key)).chain(done.iter().copied()).collect();
    for number in 0..sizes.len() {
        let object = rig.server.object("bucket", &key(number)).map(|object| object.bytes);
        let before = (number % 2 == 0).then(|| old(number));
        let is_new = object.as_deref() == Some(content(sizes[number]).as_slice());
        let is_old = object.as_deref() == before.as_deref();
        match (done.contains(&number), begun.contains(&number)) {
            (true, _) => assert!(is_new, "{number}: other bytes are stored"),
            // What failed may have arrived: its answer was lost.
            (false, true) => assert!(is_new || is_old, "{number}: neither the new nor the old object"),
            (false, false) => assert!(is_old, "{number}: it was not begun"),
        }
        if done.contains(&number) || failed.contains(&number) {
            fates[number].assert_happened(rig.server.fired(&key(number)));
        }
    }
    rig.assert_clean().await;
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_download_ends_as_the_model_says(
        items in prop::collection::vec(item(fate_of_object()), 1..14),
        pages in pages(),
        page_size in 1_usize..6,
    ) {
        let (sizes, fates): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        run(download_agrees(&sizes, &fates, &pages, page_size));
    }

    #[test]
    fn an_upload_ends_as_the_model_says(items in prop::collection::vec(item(fate_of_file()), 1..20)) {
        let (sizes, fates): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        run(upload_agrees(&sizes, &fates));
    }

    /// R13 by itself: any subset of keys fails.
    #[test]
    fn whatever_fails_every_name_is_in_one_list(lost in prop::collection::vec(any::<bool>(), 1..100)) {
        let fates: Vec<Fate> = lost
            .iter()
            .map(|lost| if *lost { Fate::Lost(Fault::status(403, "AccessDenied").into()) } else { Fate::Untouched })
            .collect();
        let sizes: Vec<usize> = (0..lost.len()).map(|number| number % 50).collect();
        run(upload_agrees(&sizes, &fates));
        run(download_agrees(&sizes, &fates, &Pages::Good, 7));
    }
}
