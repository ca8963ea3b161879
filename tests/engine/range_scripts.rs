//! Generated scripts of faults against objects that come in ranges and files that go in parts: each step has its fate.

use proptest::prelude::*;
use s3bulk::flow::Cancel;

use crate::download_setup::files;
use crate::fates::{Fate, config, mended_after, odd_answers, pick, quiet_for_three_seconds, refused, run, transient};
use crate::fault_server::{Ending, Fault, Moment, Operation, Rule, Script};
use crate::rig::{LARGE, Rig, content};

/// Of a range and of a part.
const STEP: usize = 5 << 20;
/// Most ranges, or parts, of an object here. As many times may one be replaced while it is read.
const STEPS: usize = 3;

/// Two or three steps.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(2 * STEP), 1 => Just(LARGE), 2 => (6_usize << 20)..(STEPS * STEP)]
}

fn fate(mended: Vec<Fault>, odd: Vec<Fault>, lost: Vec<Fault>) -> impl Strategy<Value = Fate> {
    // With three or four steps to a script, half of the scripts lose nothing.
    let lost = if lost.is_empty() { Just(Fate::Untouched).boxed() } else { pick(lost).prop_map(Fate::Lost).boxed() };
    let odd = if odd.is_empty() { Just(Fate::Untouched).boxed() } else { pick(odd).prop_map(Fate::Odd).boxed() };
    prop_oneof![
        8 => Just(Fate::Untouched),
        8 => (pick(mended), 1_usize..=2).prop_map(mended_after),
        3 => odd,
        3 => lost,
    ]
}

fn failure() -> Fault {
    Fault::status(500, "InternalError").into()
}

fn fate_of_head() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    // An answer without a body can't carry an error, nor the code that would make a 400 worth another request.
    mended.retain(|fault| match fault {
        Fault::ErrorInside200 { .. } => false,
        Fault::Status(status) => status.status != 400,
        _ => true,
    });
    let mut lost = refused();
    lost.push(failure());
    fate(mended, vec![Fault::ManyHeaders(200), Fault::set_header("connection", "close")], lost)
}

/// Nothing with status 200: it means that there are no ranges, and one GET fetches the whole past what befalls them.
fn fate_of_range() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    mended.retain(|fault| !matches!(fault, Fault::ErrorInside200 { .. }));
    mended.extend([
        Fault::CutBody { after: 0, ending: Ending::Fin },
        Fault::TruncateBody { to: 5 },
        Fault::ContentLengthOff(-1),
        Fault::FlipBit { at: 5 },
        Fault::FlipBit { at: (1 << 20) - 1 },
        Fault::MoveRange(1),
        Fault::set_header("content-range", "bytes 0-0/1"),
    ]);
    let mut odd = odd_answers();
    odd.push(Fault::WrongChecksum); // of a whole, which a range is not held against
    let mut lost = refused();
    lost.extend([
        failure(),
        Fault::status(412, "PreconditionFailed").into(),
        Fault::FlipBit { at: 5 },
        Fault::MoveRange(1),
        Fault::Garbage(b"HTTP/1.1 no\r\n\r\n".to_vec()),
    ]);
    // Cut or silent after bytes that stay: the rest is another range. Replaced: everything begins again.
    let once = vec![
        Fault::CutBody { after: 7, ending: Ending::Reset },
        Fault::CutBody { after: 1 << 20, ending: Ending::Fin },
        Fault::HangInBody { after: 300_000 },
        Fault::status(412, "PreconditionFailed").into(),
    ];
    prop_oneof![4 => fate(mended, odd, lost), 1 => pick(once).prop_map(|fault| Fate::Mended(fault, 1))]
}

/// Nothing that loses the answer to a Create that was carried out: nobody knows that upload then (docs/reliability.md).
fn fate_of_create() -> impl Strategy<Value = Fate> {
    let mended = vec![
        failure(),
        Fault::status(503, "SlowDown").into(),
        Fault::status(502, "x").html().into(),
        Fault::status(429, "TooManyRequests").empty().into(),
        Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Reset },
        Fault::CloseUnanswered { moment: Moment::AfterBody, ending: Ending::Fin },
        Fault::ErrorInside200 { code: "InternalError".into() },
    ];
    let mut lost = refused();
    // Not who throttles: that is waited for, for two minutes.
    lost.extend(
        mended.iter().filter(|fault| !matches!(fault, Fault::Status(it) if matches!(it.status, 429 | 503))).cloned(),
    );
    fate(mended, vec![Fault::ManyHeaders(200), Fault::Chunked], lost)
}

fn fate_of_part() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    mended.extend([Fault::status(400, "BadDigest").into(), Fault::RemoveHeader("etag".into())]);
    let mut lost = refused();
    lost.extend([
        failure(),
        Fault::CloseUnanswered { moment: Moment::AfterBytes(1 << 20), ending: Ending::Reset },
        Fault::DropAnswer(Ending::Fin),
        Fault::RemoveHeader("etag".into()),
    ]);
    let odd = vec![Fault::ManyHeaders(200), Fault::Informational(vec![102]), Fault::set_header("connection", "close")];
    fate(mended, odd, lost)
}

fn fate_of_complete() -> impl Strategy<Value = Fate> {
    let mut mended = transient();
    mended.extend([Fault::TruncateBody { to: 0 }, Fault::TruncateBody { to: 60 }]);
    let mut lost = refused();
    lost.extend([failure(), Fault::ErrorInside200 { code: "InternalError".into() }]);
    // What is carried out and never said so is found by a look at the object.
    let odd = vec![
        Fault::Chunked,
        Fault::CloseDelimited,
        Fault::ManyHeaders(200),
        Fault::DropAnswer(Ending::Reset),
        Fault::TruncateBody { to: 60 },
        Fault::Garbage(b"\x00\x01\r\n\r\n".to_vec()),
    ];
    fate(mended, odd, lost)
}

fn fate_of_abort() -> impl Strategy<Value = Fate> {
    let mended = vec![
        failure(),
        Fault::status(503, "SlowDown").empty().into(),
        Fault::CloseUnanswered { moment: Moment::BeforeBody, ending: Ending::Reset },
        Fault::DropAnswer(Ending::Fin),
    ];
    fate(mended, vec![Fault::ManyHeaders(200)], vec![])
}

/// The script, and for each step its name among the server's counts.
fn script(steps: Vec<(String, Rule, Fate)>) -> (Script, Vec<(String, Fate)>) {
    let mut script = Script::new();
    let mut named = vec![];
    for (name, rule, fate) in steps {
        script = fate.falls_on(rule).into_iter().fold(script, Script::rule);
        named.push((name, fate));
    }
    (script, named)
}

fn step(name: String, change: impl FnOnce(Rule) -> Rule, fate: &Fate) -> (String, Rule, Fate) {
    (name.clone(), change(Rule::new(&name)), fate.clone())
}

/// After a success each fault has happened, as often as it could.
fn assert_happened(rig: &Rig, steps: &[(String, Fate)], is_reached: impl Fn(&str) -> bool) {
    for (name, fate) in steps {
        if is_reached(name) {
            let fired = rig.server.fired(name);
            match fate {
                // An error of one step begins the others again.
                Fate::Mended(_, times) => assert!((1..=*times).contains(&fired), "{name}: {fate:?} {fired} times"),
                fate => fate.assert_happened(fired),
            }
        }
    }
}

async fn ranges_agree(size: usize, head: &Fate, ranges: &[Fate], is_listed: bool) {
    let count = size.div_ceil(STEP);
    let mut steps = vec![step("head".into(), |rule| rule.on(Operation::HeadObject), head)];
    for (number, fate) in ranges[..count].iter().enumerate() {
        let start = (number * STEP) as u64;
        steps.push(step(format!("range {number}"), |rule| rule.on(Operation::GetObject).range_start(start), fate));
    }
    let (script, steps) = script(steps);
    let rig = Rig::with(script, quiet_for_three_seconds());
    let (key, path) = if is_listed { ("p/file", rig.target().join("file")) } else { ("key", rig.target()) };
    rig.server.put("bucket", key, content(size));
    if is_listed {
        std::fs::create_dir(rig.target()).unwrap();
    }
    std::fs::write(&path, b"old").unwrap();
    let (done, error) = if is_listed {
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert_eq!((report.done.len() + report.failed.len(), report.not_begun.len()), (1, 0), "{report:?}");
        assert_eq!(files(&rig), ["file"]);
        (!report.done.is_empty(), error)
    } else {
        let ended = rig.download().await;
        assert_eq!(rig.names(), ["target"]);
        (ended.is_ok(), ended.err())
    };
    let can_be_had = !steps.iter().any(|(_, fate)| fate.is_lost());
    assert_eq!(error.is_none(), done);
    assert_eq!(done, can_be_had, "{error:?}");
    assert!(std::fs::read(&path).unwrap() == if done { content(size) } else { b"old".to_vec() }, "other bytes");
    match error {
        None => assert_happened(&rig, &steps, |_| true),
        Some(error) => {
            let context = error.context();
            assert_eq!((context.bucket.as_deref(), context.key.as_deref()), (Some("bucket"), Some(key)), "{error}");
            assert!(context.operation.is_some() && context.endpoint.is_some(), "{error}");
            assert!(steps.iter().any(|(name, fate)| fate.is_lost() && rig.server.fired(name) > 0), "{error}");
        }
    }
    rig.assert_clean().await;
}

async fn parts_agree(size: usize, create: &Fate, parts: &[Fate], complete: &Fate, abort: &Fate) {
    let count = size.div_ceil(STEP);
    let mut steps = vec![step("create".into(), |rule| rule.on(Operation::CreateMultipartUpload), create)];
    for (number, fate) in (1..).zip(&parts[..count]) {
        steps.push(step(format!("part {number}"), |rule| rule.on(Operation::UploadPart).part_number(number), fate));
    }
    steps.push(step("complete".into(), |rule| rule.on(Operation::CompleteMultipartUpload), complete));
    let can_be_done = !steps.iter().any(|(.., fate)| fate.is_lost());
    steps.push(step("abort".into(), |rule| rule.on(Operation::AbortMultipartUpload), abort));
    let (script, steps) = script(steps);
    let rig = Rig::with(script, quiet_for_three_seconds());
    rig.server.put("bucket", "key", b"old".to_vec());
    let ended = rig.upload(&content(size)).await;
    assert_eq!(ended.is_ok(), can_be_done, "{ended:?}");
    let stored = rig.server.object("bucket", "key").unwrap().bytes;
    assert!(stored == if can_be_done { content(size) } else { b"old".to_vec() }, "other bytes are stored");
    // No upload is open, whatever became of the first attempts to abort it.
    rig.assert_clean().await;
    let is_begun = rig.server.stats().count(Operation::CreateMultipartUpload) > 0 && !create.is_lost();
    match ended {
        Ok(_) => assert_happened(&rig, &steps, |name| name != "abort"),
        Err(error) => {
            crate::rig::assert_named(&error, &rig);
            assert!(steps.iter().any(|(name, fate)| fate.is_lost() && rig.server.fired(name) > 0), "{error}");
            assert_happened(&rig, &steps, |name| name == "abort" && is_begun);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_download_in_ranges_ends_as_the_model_says(
        size in size(),
        head in fate_of_head(),
        ranges in prop::collection::vec(fate_of_range(), STEPS),
        is_listed: bool,
    ) {
        run(ranges_agree(size, &head, &ranges, is_listed));
    }

    #[test]
    fn an_upload_in_parts_ends_as_the_model_says(
        size in size(),
        create in fate_of_create(),
        parts in prop::collection::vec(fate_of_part(), STEPS),
        complete in fate_of_complete(),
        abort in fate_of_abort(),
    ) {
        run(parts_agree(size, &create, &parts, &complete, &abort));
    }
}
