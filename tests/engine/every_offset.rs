//! Connections that are reset after each single byte: of what we send, of what we are sent, of a TLS handshake.

use s3bulk::flow::Cancel;

use crate::download_setup::on;
use crate::fault_server::{Ending, Fault, FaultServer, Moment, Operation, Rule, Script};
use crate::rig::{Rig, content, unhurried};

/// Longer than any head or body here: what lies behind the end is no fault, and shows that the end was reached.
const BEYOND: usize = 500;
/// Small enough that each of its bytes gets a turn.
const SIZE: usize = 300;

fn key(offset: usize) -> String {
    format!("{offset:04}")
}

/// The first answer for each key is cut at an offset of its own.
fn cuts(operation: Operation, cut: impl Fn(usize) -> Fault) -> Script {
    (0..BEYOND).fold(Script::new(), |script, offset| {
        let rule = Rule::new(&key(offset)).on(operation).key(&format!("p/{}", key(offset)));
        script.rule(rule.first(1).then(cut(offset)))
    })
}

async fn uploads_survive(cut: impl Fn(usize) -> Fault) {
    let rig = Rig::with(cuts(Operation::PutObject, cut), unhurried());
    std::fs::create_dir(rig.source()).unwrap();
    for offset in 0..BEYOND {
        std::fs::write(rig.source().join(key(offset)), content(SIZE + offset)).unwrap();
    }
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.done.len(), BEYOND);
    for offset in 0..BEYOND {
        assert_eq!(rig.server.fired(&key(offset)), 1);
        let object = rig.server.object("bucket", &format!("p/{}", key(offset))).unwrap();
        assert!(object.bytes == content(SIZE + offset), "{offset}");
    }
    rig.assert_clean().await;
}

async fn downloads_survive(cut: impl Fn(usize) -> Fault) {
    let rig = Rig::with(cuts(Operation::GetObject, cut), unhurried());
    for offset in 0..BEYOND {
        rig.server.put("bucket", &format!("p/{}", key(offset)), content(SIZE + offset));
    }
    let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.done.len(), BEYOND);
    for offset in 0..BEYOND {
        assert_eq!(rig.server.fired(&key(offset)), 1);
        assert!(std::fs::read(rig.target().join(key(offset))).unwrap() == content(SIZE + offset), "{offset}");
    }
    assert_eq!(std::fs::read_dir(rig.target()).unwrap().count(), BEYOND);
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_a_reset_at_every_byte_of_the_answers_head() {
    uploads_survive(|after| Fault::CutHead { after, ending: Ending::Reset }).await;
    uploads_survive(|after| Fault::CutHead { after, ending: Ending::Fin }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_a_reset_at_every_byte_of_their_body() {
    uploads_survive(|after| Fault::CloseUnanswered { moment: Moment::AfterBytes(after as u64), ending: Ending::Reset })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_survive_a_reset_at_every_byte_of_the_answers_head() {
    downloads_survive(|after| Fault::CutHead { after, ending: Ending::Reset }).await;
    downloads_survive(|after| Fault::CutHead { after, ending: Ending::Fin }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_survive_a_reset_at_every_byte_of_the_body() {
    downloads_survive(|after| Fault::CutBody { after, ending: Ending::Reset }).await;
    downloads_survive(|after| Fault::CutBody { after, ending: Ending::Fin }).await;
}

/// Each connection carries one request, and every other one ends after so many bytes of it.
async fn requests_survive(tls: bool, first: usize, step: usize, last: usize) {
    let closing = || Fault::set_header("connection", "close");
    let server = FaultServer::start(if tls { Script::new().tls() } else { Script::new() });
    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), server.certificate_pem().unwrap_or_default()).unwrap();
    let rig = Rig::over(server, unhurried(), |config| {
        config.ca_bundle = tls.then(|| bundle.path().to_owned());
    });
    let bytes = content(SIZE);
    let cuts: Vec<usize> = (first..last).step_by(step).collect();
    for (number, offset) in cuts.iter().enumerate() {
        rig.server.clear_rules();
        let cut = Fault::EndAfterReading { bytes: *offset, ending: Ending::Reset };
        rig.server.add_rule(Rule::new("cut").on(Operation::Connect).first(1).then(cut));
        rig.server.add_rule(on(Operation::PutObject).then(closing()).then(Fault::EndWith(Ending::Fin)));
        rig.upload(&bytes).await.unwrap_or_else(|error| panic!("{offset}: {error}"));
        assert_eq!(rig.server.fired("cut"), number + 1, "{offset}");
        assert!(rig.server.delete("bucket", "key").unwrap().bytes == bytes, "{offset}");
    }
    rig.assert_clean().await;
}

/// Shared out among rigs: each waits a little after each reset.
async fn requests_survive_at_every_byte(tls: bool, last: usize) {
    const RIGS: usize = 16;
    let mut rigs: tokio::task::JoinSet<()> = (0..RIGS).map(|first| requests_survive(tls, first, RIGS, last)).collect();
    while let Some(ended) = rigs.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_a_reset_at_every_byte_of_their_head() {
    // A head of a PUT has some 560 bytes, the body 300.
    requests_survive_at_every_byte(false, 800).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_survive_a_reset_at_every_byte_of_the_handshake() {
    // A ClientHello has some 220 bytes.
    requests_survive_at_every_byte(true, 200).await;
}
