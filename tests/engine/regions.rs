//! Buckets in another region than the client's, and endpoints with the bucket in the host's name. Names are looked up by
//! the test: what goes to AWS's hosts ends at the fault server.

use std::sync::{Arc, Mutex};

use s3bulk::client::Client;
use s3bulk::config::{AddressingStyle, ClientConfig, CredentialSource, Proxies, Secret};
use s3bulk::error::Error;
use s3bulk::flow::Cancel;
use s3bulk::transfer::Engine;
use s3bulk::wire::resolve::LookUp;

use crate::fault_server::{Fault, FaultServer, Operation, Rule, Script, StatusFault};
use crate::rig::{LARGE, Rig, SMALL, content, unhurried, watched};

const ASKED: &str = "bucket.s3.us-east-1.amazonaws.com";
const THERE: &str = "bucket.s3.eu-west-1.amazonaws.com";

/// A client for which every name is the fault server's, and the names that it has looked up.
fn named(script: Script, endpoint: Option<&str>, style: AddressingStyle) -> (Rig, Arc<Mutex<Vec<String>>>) {
    let server = FaultServer::start(script);
    server.create_bucket("bucket");
    let folder = tempfile::tempdir().unwrap();
    let ca_bundle = server.certificate_pem().map(|pem| {
        let bundle = folder.path().join("ca.pem");
        std::fs::write(&bundle, pem).unwrap();
        bundle
    });
    let config = ClientConfig {
        endpoint_url: endpoint.map(str::to_owned),
        region: "us-east-1".into(),
        addressing_style: style,
        credentials: CredentialSource::Static {
            access_key: "access".into(),
            secret_key: Secret::new("secret"),
            session_token: None,
        },
        ca_bundle,
        proxies: Proxies::default(),
        adopted: None,
    };
    let (address, names) = (server.address(), Arc::<Mutex<Vec<String>>>::default());
    let asked = names.clone();
    let look_up: Arc<LookUp> = Arc::new(move |host, _| {
        asked.lock().unwrap().push(host.to_owned());
        Box::pin(async move { Ok(vec![address]) })
    });
    let engine = Engine::new(Client::with_look_up(config, unhurried(), look_up).unwrap());
    (Rig { server, engine, folder }, names)
}

/// AWS's own endpoints: in us-east-1 every request is answered so, in eu-west-1 the bucket is there.
fn elsewhere(answer: StatusFault) -> (Rig, Arc<Mutex<Vec<String>>>) {
    let script = Script::new().tls().virtual_hosts("s3.eu-west-1.amazonaws.com");
    named(script.rule(Rule::new("elsewhere").host(ASKED).then(answer)), None, AddressingStyle::Auto)
}

fn in_eu(status: u16, code: &str) -> StatusFault {
    Fault::status(status, code).header("x-amz-bucket-region", "eu-west-1")
}

/// The ways in which S3 says it (PITFALLS 2.9).
fn answers() -> Vec<StatusFault> {
    vec![
        in_eu(301, "PermanentRedirect"),
        in_eu(301, "PermanentRedirect").empty(),
        in_eu(307, "TemporaryRedirect").header("Location", "http://elsewhere.test/bucket/key"),
        in_eu(400, "AuthorizationHeaderMalformed"),
        in_eu(400, "400").empty(),
        in_eu(403, "AccessDenied"),
    ]
}

/// All requests after the first went to the right place, signed for it; nobody followed a `Location`.
fn assert_followed(rig: &Rig, names: &Arc<Mutex<Vec<String>>>, how: &str) {
    let requests = rig.server.requests();
    assert_eq!(requests[0].header("host"), Some(ASKED), "{how}");
    assert!(requests[0].header("authorization").unwrap().contains("/us-east-1/s3/"), "{how}");
    assert!(requests.len() > 1, "{how}");
    for request in requests.iter().filter(|request| request.header("host") != Some(ASKED)) {
        assert_eq!(request.header("host"), Some(THERE), "{how}");
        assert!(request.header("authorization").unwrap().contains("/eu-west-1/s3/"), "{how}");
    }
    assert!(names.lock().unwrap().iter().all(|name| name == ASKED || name == THERE), "{how}: {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_follows_its_bucket_once_and_remembers_where_it_is() {
    for size in [SMALL, LARGE] {
        for answer in answers() {
            let how = format!("{size} bytes, {answer:?}");
            let (rig, names) = elsewhere(answer);
            let bytes = content(size);
            rig.upload(&bytes).await.unwrap();
            rig.upload(&bytes).await.unwrap();
            assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes, "{how}");
            assert_followed(&rig, &names, &how);
            assert_eq!(rig.server.fired("elsewhere"), 1, "{how}");
            rig.assert_clean().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_and_a_listing_follow_their_bucket() {
    // Without a body there is nothing but status and header: HeadObject comes first.
    for answer in answers() {
        let how = format!("{answer:?}");
        let (rig, names) = elsewhere(answer.clone());
        rig.server.put("bucket", "key", content(SMALL));
        rig.download().await.unwrap();
        assert!(std::fs::read(rig.target()).unwrap() == content(SMALL), "{how}");
        assert_followed(&rig, &names, &how);
        assert_eq!(rig.server.fired("elsewhere"), 1, "{how}");
        let (rig, names) = elsewhere(answer);
        rig.server.put("bucket", "p/a", &b"a"[..]);
        let (report, error) = rig.download_prefix("p", &Cancel::new()).await;
        assert!(error.is_none() && report.done.len() == 1, "{how}: {error:?}");
        assert_followed(&rig, &names, &how);
        assert_eq!(rig.server.fired("elsewhere"), 1, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_elsewhere_is_there() {
    for answer in answers() {
        let how = format!("{answer:?}");
        let (rig, names) = elsewhere(answer);
        watched(rig.engine.client().head_bucket("bucket")).await.unwrap();
        assert_followed(&rig, &names, &how);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_on_their_way_all_follow() {
    let (rig, names) = elsewhere(in_eu(301, "PermanentRedirect"));
    std::fs::create_dir(rig.source()).unwrap();
    for number in 0..200 {
        std::fs::write(rig.source().join(format!("{number:03}")), [number]).unwrap();
    }
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    assert!(error.is_none() && report.done.len() == 200, "{error:?}");
    assert_followed(&rig, &names, "a folder");
    let before = rig.server.fired("elsewhere");
    let (report, error) = rig.upload_folder(&Cancel::new()).await;
    assert!(error.is_none() && report.done.len() == 200, "{error:?}");
    assert_eq!(rig.server.fired("elsewhere"), before, "the region was not remembered");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_regions_that_name_each_other_are_asked_once_each() {
    let back = Fault::status(301, "PermanentRedirect").header("x-amz-bucket-region", "us-east-1");
    let script = Script::new().tls().virtual_hosts("s3.eu-west-1.amazonaws.com");
    let there = Rule::new("elsewhere").host(ASKED).then(in_eu(301, "PermanentRedirect"));
    let script = script.rule(there).rule(Rule::new("back").host(THERE).then(back));
    let (rig, _) = named(script, None, AddressingStyle::Auto);
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.status(), rig.server.fired("elsewhere"), rig.server.fired("back")), (Some(301), 1, 1), "{error}");
    rig.assert_clean().await;
}

async fn refused_at(endpoint: &str, script: Script) -> (Error, Rig, Vec<String>) {
    let answer = in_eu(307, "TemporaryRedirect").header("Location", "http://elsewhere.test/bucket/key");
    let (rig, names) = named(script.rule(Rule::new("elsewhere").then(answer)), Some(endpoint), AddressingStyle::Path);
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.status(), rig.server.fired("elsewhere")), (Some(307), 1), "{error}");
    rig.assert_clean().await;
    let names = names.lock().unwrap().clone();
    (error, rig, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_endpoint_of_ones_own_nobody_is_sent_away() {
    for (endpoint, script) in [("http://s3.test", Script::new()), ("https://s3.test", Script::new().tls())] {
        let (error, rig, names) = refused_at(endpoint, script).await;
        assert!(error.to_string().contains("eu-west-1"), "{error}");
        assert_eq!(rig.server.requests().len(), 1);
        assert!(names.iter().all(|name| name == "s3.test"), "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_ones_own_that_is_in_another_region_is_signed_for_it() {
    for answer in [in_eu(400, "AuthorizationHeaderMalformed"), in_eu(400, "400").empty()] {
        let how = format!("{answer:?}");
        let script = Script::new().rule(Rule::new("elsewhere").first(1).then(answer));
        let (rig, names) = named(script, Some("http://s3.test"), AddressingStyle::Path);
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap();
        watched(rig.engine.client().head_bucket("bucket")).await.unwrap();
        assert!(rig.server.object("bucket", "key").unwrap().bytes == bytes, "{how}");
        let requests = rig.server.requests();
        let signed_for = |region: &str| {
            let scope = format!("/{region}/s3/");
            requests.iter().filter(|request| request.header("authorization").unwrap().contains(&scope)).count()
        };
        assert_eq!((signed_for("us-east-1"), signed_for("eu-west-1")), (1, requests.len() - 1), "{how}");
        assert!(names.lock().unwrap().iter().all(|name| name == "s3.test"), "{how}");
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_an_endpoint_of_ones_own_names_again_and_again_is_an_error() {
    let script = Script::new().rule(Rule::new("elsewhere").then(in_eu(400, "AuthorizationHeaderMalformed")));
    let (rig, _) = named(script, Some("http://s3.test"), AddressingStyle::Path);
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.status(), rig.server.fired("elsewhere")), (Some(400), 2), "{error}");
    assert!(error.to_string().contains("eu-west-1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_goes_into_the_hosts_name_where_that_is_wanted() {
    for (endpoint, tls, host) in
        [("http://s3.test:81", false, "bucket.s3.test:81"), ("https://s3.test", true, "bucket.s3.test")]
    {
        let script = Script::new().virtual_hosts("s3.test");
        let script = if tls { script.tls() } else { script };
        let (rig, names) = named(script, Some(endpoint), AddressingStyle::Virtual);
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap();
        rig.download().await.unwrap();
        assert!(std::fs::read(rig.target()).unwrap() == bytes);
        std::fs::remove_file(rig.target()).unwrap();
        let (report, error) = rig.download_prefix("", &Cancel::new()).await;
        assert!(error.is_none() && report.done.len() == 1, "{error:?}");
        watched(rig.engine.client().head_bucket("bucket")).await.unwrap();
        let requests = rig.server.requests();
        assert!(!rig.server.requests_of(Operation::UploadPart).is_empty());
        assert!(requests.iter().all(|request| request.header("host") == Some(host)), "{endpoint}");
        assert!(requests.iter().all(|request| !request.target.contains("bucket")), "{endpoint}");
        assert!(names.lock().unwrap().iter().all(|name| name == "bucket.s3.test"), "{names:?}");
        rig.assert_clean().await;
    }
}
