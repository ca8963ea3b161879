use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use tokio::net::TcpListener;

use super::*;
use crate::wire::body::BoxFuture;

/// Above what any of these takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = io::Result<Vec<SocketAddr>>;

/// A connector whose names are known to `look_up`, which is told how often it was asked before.
fn connector(look_up: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Connector, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let resolver = Resolver::new(Arc::new(move |_, _| -> BoxFuture<Answer> {
        Box::pin(std::future::ready(look_up(counted.fetch_add(1, SeqCst))))
    }));
    let shared = Shared {
        resolver,
        routes: Routes::default(),
        tls: Arc::new(Tls::new(None).unwrap()),
        limit: Duration::from_secs(5),
        traffic: Arc::default(),
    };
    (Connector(Arc::new(shared)), asked)
}

/// A connection to a name, with a request that wants it.
async fn connect(connector: &Connector, port: u16) -> Result<TokioIo<Socket>> {
    let uri: Uri = format!("http://s3.test:{port}/").parse().unwrap();
    let _request = connector.0.traffic.host(&uri).request();
    tokio::time::timeout(PATIENCE, connector.clone().call(uri)).await.unwrap()
}

/// An address where nobody listens, and none that does listen has its port.
async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An address that neither takes a connection nor refuses it: its queue is full.
async fn silent() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let queued = (0..4)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _in_progress = socket.connect(&address);
            socket
        })
        .collect();
    (listener, queued, address.as_socket().unwrap())
}

#[tokio::test]
async fn a_name_that_can_not_be_looked_up_is_named_and_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connector, asked) = connector(move |before| match before {
        0 => Err(io::Error::other("temporary failure in name resolution")),
        1 => Ok(vec![]),
        _ => Ok(vec![address]),
    });
    for says in ["temporary failure in name resolution", "no address for s3.test"] {
        let error = connect(&connector, address.port()).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Connect);
        assert!(error.message().contains("s3.test") && error.message().contains(says), "{error}");
        assert_eq!(crate::wire::retry::classify(&error), crate::wire::retry::Class::Transient);
        // An empty answer would stay for ten seconds.
        connector.0.resolver.failed("s3.test", address);
    }
    assert!(connect(&connector, address.port()).await.is_ok());
    assert_eq!(asked.load(SeqCst), 3);
}

#[tokio::test]
async fn many_connections_ask_for_a_name_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connector, asked) = connector(move |_| Ok(vec![address]));
    let all = (0..64).map(|_| {
        let connector = connector.clone();
        tokio::spawn(async move { connect(&connector, address.port()).await.map(drop) })
    });
    let mut connected = 0;
    for ended in all.collect::<Vec<_>>() {
        connected += usize::from(ended.await.unwrap().is_ok());
    }
    assert!(connected > 0 && asked.load(SeqCst) == 1, "{connected}, asked {asked:?}");
}

#[tokio::test]
async fn connections_spread_over_all_addresses() {
    let mut listeners = vec![TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let port = listeners[0].local_addr().unwrap().port();
    for last in 2..5 {
        listeners.push(TcpListener::bind(format!("127.0.0.{last}:{port}")).await.unwrap());
    }
    let addresses: Vec<SocketAddr> = listeners.iter().map(|it| it.local_addr().unwrap()).collect();
    let (connector, _) = connector(move |_| Ok(addresses.clone()));
    let mut kept = vec![];
    for _ in 0..64 {
        kept.push(connect(&connector, port).await.unwrap());
        // The next one is wanted too.
        kept.clear();
    }
    for listener in &listeners {
        // By chance none of 64 would come once in ten thousand million runs.
        assert!(tokio::time::timeout(PATIENCE, listener.accept()).await.is_ok(), "{listener:?}");
    }
}

#[tokio::test]
async fn dead_addresses_cost_a_head_start_and_not_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = listener.local_addr().unwrap();
    let (refused, (_full, _queued, mute)) = (refusing().await, silent().await);
    let (connector, asked) = connector(move |_| Ok(vec![mute, refused, alive]));
    for _ in 0..8 {
        let began = Instant::now();
        let socket = connect(&connector, alive.port()).await.unwrap();
        drop(socket);
        // Two head starts at most; the limit of one address alone would be the whole five seconds.
        assert!(began.elapsed() < connector.0.limit, "{:?}", began.elapsed());
    }
    // After the refusal the name was asked for anew, once.
    assert!((1..=8).contains(&asked.load(SeqCst)), "{asked:?}");
}

#[tokio::test]
async fn a_name_whose_addresses_are_all_dead_is_an_error() {
    let refused = refusing().await;
    let (connector, _) = connector(move |_| Ok(vec![refused]));
    let error = connect(&connector, refused.port()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Connect, "{error}");
    assert!(error.message().contains("s3.test"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn small_writes_go_out_at_once_and_blocked_ones_have_a_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = dial(listener.local_addr().unwrap()).await.unwrap();
    assert!(stream.nodelay().unwrap());
    let limit = socket2::SockRef::from(&stream).tcp_user_timeout().unwrap();
    assert_eq!(limit, Some(WRITE_STALL_LIMIT));
}
