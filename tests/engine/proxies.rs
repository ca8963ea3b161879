//! Transfers through proxies: tunnels for https, whole URLs for http, and proxies that don't want to.

use std::time::Duration;

use s3bulk::config::{ClientConfig, Proxies, Secret, TransferOptions};
use s3bulk::error::{Error, Kind};

use crate::fault_server::{Fault, FaultServer, Operation, Rule, Script, self_signed};
use crate::proxy_rig::{Act, Proxy};
use crate::rig::{LARGE, Rig, content, options, unhurried};

const BAD_GATEWAY: Act = Act::Say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");

/// An https server by a name that only the proxy can reach.
async fn tunnelled(acts: &[Act], tls: bool, options: TransferOptions) -> (Rig, Proxy) {
    let server = FaultServer::start(Script::new().tls());
    let (acceptor, mut trusted) = match tls.then(|| self_signed().unwrap()) {
        Some((acceptor, pem)) => (Some(acceptor), pem),
        None => (None, String::new()),
    };
    trusted += server.certificate_pem().unwrap();
    let proxy = Proxy::start(server.address(), acts, acceptor).await;
    let port = server.address().port();
    let scheme = if tls { "https" } else { "http" };
    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), trusted).unwrap();
    let rig = Rig::over(server, options, |config| {
        config.endpoint_url = Some(format!("https://s3.test:{port}"));
        config.ca_bundle = Some(bundle.path().to_owned());
        let url = format!("{scheme}://us%3Aer:hush@{}", proxy.address());
        config.proxies = Proxies { https: Some(Secret::new(url)), ..Proxies::default() };
    });
    (rig, proxy)
}

async fn fails(acts: &[Act], connects: usize, expected: Kind) -> Error {
    let options = TransferOptions { max_attempts: 2, connect_timeout: Duration::from_millis(300), ..options() };
    let (rig, proxy) = tunnelled(acts, false, options).await;
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!(error.kind(), &expected, "{error}");
    assert_eq!(proxy.heads().len(), connects, "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    assert_eq!(rig.server.stats().requests(), 0);
    rig.assert_clean().await;
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_through_a_tunnel_and_the_server_never_sees_the_proxys_password() {
    for tls in [false, true] {
        let (rig, proxy) = tunnelled(&[Act::Tunnel], tls, unhurried()).await;
        let bytes = content(LARGE);
        rig.upload(&bytes).await.unwrap();
        rig.download().await.unwrap();
        assert!(std::fs::read(rig.target()).unwrap() == bytes);
        let port = rig.server.address().port();
        let heads = proxy.heads();
        assert!(!heads.is_empty());
        for head in heads {
            assert!(
                head.starts_with(&format!("CONNECT s3.test:{port} HTTP/1.1\r\nHost: s3.test:{port}\r\n")),
                "{head}"
            );
            // printf 'us:er:hush' | base64
            assert!(head.contains("\r\nProxy-Authorization: Basic dXM6ZXI6aHVzaA==\r\n"), "{head}");
        }
        let requests = rig.server.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| request.header("proxy-authorization").is_none()));
        rig.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_fails_for_a_while_is_asked_again() {
    let acts = [BAD_GATEWAY, Act::Close, Act::Tunnel];
    let (rig, proxy) = tunnelled(&acts, false, unhurried()).await;
    rig.upload(b"bytes").await.unwrap();
    assert_eq!(proxy.heads().len(), 3);
    assert_eq!(rig.server.object("bucket", "key").unwrap().bytes, b"bytes".as_slice());
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_says_no_is_asked_once() {
    let wants = Act::Say("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    assert!(fails(&[wants], 1, Kind::Proxy).await.message().contains("407"));
    let refuses = Act::Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever");
    assert!(fails(&[refuses], 1, Kind::Proxy).await.message().contains("403 Forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_never_gets_through_is_given_up() {
    assert!(fails(&[BAD_GATEWAY], 2, Kind::Proxy).await.message().contains("502"));
    fails(&[Act::Close], 2, Kind::Proxy).await;
    fails(&[Act::KeepSilent], 2, Kind::ConnectTimeout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_an_error() {
    fails(&[Act::Say("\x01\r\n\r\n")], 1, Kind::Proxy).await;
    fails(&[Act::Say("HTTP/1.1 200 OK\r\n\r\nand more")], 1, Kind::Proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::over(FaultServer::start(Script::new()), options(), |config| {
        config.endpoint_url = Some("http://s3.test".into());
        config.proxies.http = Some(Secret::new(format!("http://u:hush@{nobody}")));
    });
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.context().attempts), (&Kind::Proxy, 4), "{error}");
    assert!(error.message().contains(&nobody.to_string()) && !error.to_string().contains("hush"), "{error}");
    rig.assert_clean().await;
}

/// The server plays the proxy: it is sent whole URLs.
fn through_itself(script: Script) -> Rig {
    let server = FaultServer::start(script);
    let proxy = format!("{}@{}", "u:p", server.address());
    Rig::over(server, unhurried(), |config: &mut ClientConfig| {
        config.endpoint_url = Some("http://s3.test:81".into());
        config.proxies.http = Some(Secret::new(proxy));
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn http_asks_the_proxy_for_whole_urls() {
    let rig = through_itself(Script::new());
    let bytes = content(LARGE);
    rig.upload(&bytes).await.unwrap();
    rig.download().await.unwrap();
    assert!(std::fs::read(rig.target()).unwrap() == bytes);
    for request in rig.server.requests() {
        assert!(request.target.starts_with("http://s3.test:81/bucket"), "{}", request.target);
        assert_eq!(request.header("host"), Some("s3.test:81"));
        assert_eq!(request.header("proxy-authorization"), Some("Basic dTpw"));
    }
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_an_http_request_is_believed() {
    let refused = Rule::new("fault").on(Operation::PutObject).then(Fault::status(407, "x").html());
    let rig = through_itself(Script::new().rule(refused));
    let error = rig.upload(b"x").await.unwrap_err();
    assert_eq!((error.status(), rig.server.fired("fault")), (Some(407), 1), "{error}");
    rig.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_is_asked_directly() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::over(FaultServer::start(Script::new()), options(), |config| {
        config.proxies.http = Some(Secret::new(format!("http://{dead}")));
    });
    rig.upload(b"bytes").await.unwrap();
    assert!(rig.server.requests().iter().all(|request| request.target.starts_with("/bucket")));
    rig.assert_clean().await;
}
